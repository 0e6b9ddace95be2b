/* Hands the code, which browsers keep out of every request, over by POST, so that the buyer need not type it. Afterwards the
   page stands for its address again: a reload looks how the link stands, and sends no form twice. */
(function () {
  "use strict";
  var code = document.getElementById("payhost-refund").dataset.code;
  var ask = document.getElementById("payhost-code");
  if (code) history.replaceState(null, "", location.pathname + "#" + code);

  var account = document.getElementById("payhost-account");
  if (account) {
    account.addEventListener("submit", function () {
      account.querySelector("button").disabled = true;
    });
    /* The back button shows the page as it was left. */
    window.addEventListener("pageshow", function () {
      account.querySelector("button").disabled = false;
    });
  }

  if (!ask || ask.dataset.wrong || location.hash.length < 2) return;
  document.getElementById("code").value = location.hash.slice(1);
  ask.submit();
})();
