/* Tells the shop's page that opened the window, then closes it; without an opener it leads the buyer back to the shop. While
   the outcome is not known it asks again, less and less often. */
(function () {
  "use strict";
  var outcome = JSON.parse(document.getElementById("payhost-outcome").textContent);
  var LEAVE_MS = 800;
  var READ_MS = 6000;

  /* A failed try that offers another one stays open until the buyer closes it or pays; who left the window himself is done here. */
  var mayTryAgain = outcome.result === "failed" && document.querySelector("[data-testid=again]") !== null;

  function report() {
    outcome.origins.forEach(function (origin) {
      var message = { type: "payhost.result", payment: outcome.payment, result: outcome.result, open: mayTryAgain };
      window.opener.postMessage(message, origin);
    });
  }

  /* The shop's page waits behind this popup: the way back to it is to close the popup, not to open the shop in it once more. */
  var back = document.getElementById("payhost-return");
  if (back && window.opener && outcome.origins.length > 0) {
    back.addEventListener("click", function (event) {
      if (window.opener.closed) return;
      event.preventDefault();
      mayTryAgain = false;
      report();
      window.close();
    });
  }

  /* The account number to the clipboard; without a clipboard the button is not there. */
  document.querySelectorAll("[data-copy]").forEach(function (button) {
    if (!navigator.clipboard) return button.remove();
    button.addEventListener("click", function () {
      navigator.clipboard.writeText(button.dataset.copy).then(function () {
        button.setAttribute("aria-live", "polite");
        button.textContent = button.dataset.copied;
      }, function () { button.remove(); });
    });
  });

  function askAgain() {
    var tries = Number(new URLSearchParams(location.hash.slice(1)).get("try") || 0) + 1;
    if (tries > 60) return;
    setTimeout(function () {
      history.replaceState(null, "", "#try=" + tries);
      location.reload();
    }, Math.min(2000 * tries, 30000));
  }

  if (outcome.result === "refused") return;
  if (window.opener && outcome.origins.length > 0) report();
  if (outcome.result === "in_doubt") return askAgain();
  if (mayTryAgain) return;
  var toRead = outcome.result === "failed" || outcome.result === "awaiting_deposit";
  var wait = toRead ? READ_MS : LEAVE_MS;
  if (window.opener && outcome.origins.length > 0) setTimeout(function () { window.close(); }, wait);
  else if (outcome.return_url && outcome.result !== "failed") setTimeout(function () { location.assign(outcome.return_url); }, wait);
})();
