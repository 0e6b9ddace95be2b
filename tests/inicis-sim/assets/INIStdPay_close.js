// inicis-sim: runs in the merchant's close page inside the overlay's iframe, which has the origin of the shop page, so
// it may take the overlay out of the parent. Invariant: it touches nothing but the overlay.
(function () {
  "use strict";
  var page = window.parent;
  if (page === window) return;
  page.document.documentElement.style.overflow = "";
  var overlays = page.document.querySelectorAll(".inipay_overlay");
  for (var i = 0; i < overlays.length; i += 1) overlays[i].remove();
})();
