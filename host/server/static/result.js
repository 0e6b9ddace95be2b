/* Tells the shop's page that opened the window, then closes it; without an opener it leads the buyer back to the shop. While
   the outcome is not known it asks again. */
(function () {
  "use strict";
  var outcome = JSON.parse(document.getElementById("payhost-outcome").textContent);
  var POLL_MS = 2000;

  function report() {
    outcome.origins.forEach(function (origin) {
      window.opener.postMessage({ type: "payhost.result", payment: outcome.payment, result: outcome.result }, origin);
    });
  }

  if (outcome.result === "in_doubt" || outcome.result === "awaiting_confirm") {
    setTimeout(function () { location.reload(); }, POLL_MS);
  } else if (window.opener && outcome.origins.length > 0) {
    report();
    setTimeout(function () { window.close(); }, outcome.result === "failed" ? 6000 : 800);
  } else if (outcome.return_url && outcome.result !== "failed") {
    setTimeout(function () { location.assign(outcome.return_url); }, 800);
  }
})();
