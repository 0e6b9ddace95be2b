/*
 * The pay button. Without this script, or when payhost.js did not load, the form is sent to the shop, which leads to the
 * payment page itself. What the promise says is only a hint: the order page asks payhost from the shop's server.
 */
(function () {
  "use strict";
  /* A deposit is told to the shop's server by webhook: the page asks the shop whether it was. */
  var account = document.querySelector("[data-testid=account]");
  if (account) {
    setInterval(function () {
      fetch("/orders/" + account.dataset.order + "/state").then(function (answer) {
        if (answer.ok) answer.text().then(function (state) {
          if (state !== "awaiting_deposit") location.reload();
        });
      }, function () {});
    }, 2000);
  }

  /* The account number to the clipboard, where the browser has one. */
  document.querySelectorAll("[data-copy]").forEach(function (copy) {
    if (!navigator.clipboard) return;
    copy.hidden = false;
    copy.addEventListener("click", function () {
      navigator.clipboard.writeText(copy.dataset.copy).then(function () {
        copy.textContent = copy.dataset.copied;
      }, function () { copy.hidden = true; });
    });
  });

  var form = document.querySelector("form[data-order]");
  if (!form) return;
  var page = "/orders/" + form.dataset.order;
  var button = form.querySelector("button");
  var error = form.querySelector("[role=alert]");

  /* The window opens beside the page on a computer, in its place on a phone. For trying the other way: ?window=redirect (or popup). */
  var mode = new URLSearchParams(location.search).get("window");
  if (mode !== "popup" && mode !== "redirect") mode = "auto";

  function payment() {
    var choice = new URLSearchParams(new FormData(form));
    return fetch(page + "/payment", { method: "POST", body: choice }).then(function (answer) {
      return answer.json().then(function (body) {
        if (!answer.ok) throw new Error(body.message);
        return body;
      });
    });
  }

  form.addEventListener("submit", function (event) {
    if (!window.Payhost) return;
    event.preventDefault();
    error.hidden = true;
    button.disabled = true;
    window.Payhost.pay({ payment: payment, mode: mode, language: document.documentElement.lang }).then(
      function (outcome) {
        location.assign(page + "?result=" + encodeURIComponent(outcome.result));
      },
      function (problem) {
        button.disabled = false;
        error.textContent = problem.message;
        error.hidden = false;
      }
    );
  });

  /* Back from the payment window with the browser's back button: the page must not be an old picture of itself. */
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) location.reload();
  });
})();
