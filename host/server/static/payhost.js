/*
 * payhost.js: opens a payment's window from a shop's page.
 *
 *   <script src="https://pay.shop.example/payhost.js"></script>
 *   button.onclick = () => Payhost.pay({
 *     payment: () => fetch("/orders/7/payment", { method: "POST" }).then((r) => r.json()), // {id, checkout_url, client_token}
 *     mode: "auto",      // "popup" on a PC, "redirect" on a phone; or one of the two
 *     language: "ko",
 *   }).then((outcome) => location.assign("/orders/7"));
 *
 * The promise always settles, with {payment, result} or an error (the popup is closed then); results: paid, awaiting_deposit, awaiting_confirm, cancelled_by_buyer, cancelled
 * (by the shop), failed, in_doubt. It tells the page what to show, not the shop what was paid: the shop's server asks GET /v1/payments/{id} or waits
 * for the webhook. In "redirect" mode the page is left and the buyer comes back to the payment's return_url with
 * ?payment_id=…&result=…. What a page needs for this (CSP, COOP, SameSite): docs/payhost-js.md.
 */
(function () {
  "use strict";
  var script = document.currentScript;
  var base = new URL(script && script.src ? script.src : location.href).origin;
  var POLL_MS = 1500;
  var WATCH_MS = 300; /* how often it is seen whether the popup is closed */
  var CLOSED_MS = 1500; /* how long a closed popup is asked about: the shop's button is free within three seconds */
  var SEVERED_MS = 500; /* nobody closes a popup sooner: the page cannot see it */
  var UNSEEN_MS = 20000; /* how long a popup that cannot be seen is asked about */
  var WINDOW = "width=860,height=760,menubar=no,toolbar=no,location=yes,resizable=yes,scrollbars=yes";

  function isPhone() {
    if (navigator.userAgentData && typeof navigator.userAgentData.mobile === "boolean") return navigator.userAgentData.mobile;
    return /Android|iPhone|iPad|iPod|Mobile/i.test(navigator.userAgent);
  }

  function submit(url, target) {
    var address = new URL(url, base);
    if (address.protocol !== "https:" && address.protocol !== "http:") throw new Error("payhost: not a checkout_url");
    var form = document.createElement("form");
    form.method = "post";
    form.action = address.href;
    form.target = target;
    form.style.display = "none";
    document.body.appendChild(form);
    form.submit();
    form.remove();
  }

  function read(payment) {
    return fetch(base + "/v1/payments/" + encodeURIComponent(payment.id), {
      headers: { authorization: "Bearer " + payment.client_token },
    }).then(function (answer) {
      if (!answer.ok) throw new Error("payhost: " + answer.status);
      return answer.json();
    });
  }

  var RESULTS = {
    paid: "paid", partially_cancelled: "paid", awaiting_deposit: "awaiting_deposit",
    cancelled: "cancelled", failed: "failed", expired: "failed",
  };

  /* Waits for the popup: its message first, and the API behind it in case the message is lost. A closed popup is noticed at once,
     and what came of it is said within three seconds. */
  function follow(popup, payment) {
    return new Promise(function (resolve) {
      var opened = Date.now();
      var closedAt = null;
      var severed = false;
      var seen = null; /* what the popup showed last while the buyer may still try again */
      var watch = setInterval(look, WATCH_MS);
      var timer = setTimeout(poll, POLL_MS);
      function finish(result) {
        window.removeEventListener("message", onMessage);
        clearInterval(watch);
        clearTimeout(timer);
        resolve({ payment: payment.id, result: result });
      }
      function onMessage(event) {
        if (event.origin !== new URL(payment.checkout_url, base).origin) return;
        var data = event.data;
        if (!data || data.type !== "payhost.result" || data.payment !== payment.id) return;
        if (data.open) seen = data.result;
        else finish(data.result);
      }
      function look() {
        if (closedAt !== null || !popup.closed) return;
        closedAt = Date.now();
        /* A page with Cross-Origin-Opener-Policy: same-origin loses sight of its popup at once. */
        severed = closedAt - opened < SEVERED_MS;
        clearTimeout(timer);
        poll();
      }
      function poll() {
        var over = closedAt !== null && Date.now() - closedAt > (severed ? UNSEEN_MS : CLOSED_MS);
        read(payment).then(
          function (now) {
            if (RESULTS[now.state]) return finish(RESULTS[now.state]);
            if (over) return finish(now.resolution === "none" ? seen || "cancelled_by_buyer" : "in_doubt");
            again();
          },
          function () {
            if (over) return finish("in_doubt");
            again();
          }
        );
      }
      function again() {
        clearTimeout(timer);
        timer = setTimeout(poll, closedAt === null || severed ? POLL_MS : WATCH_MS * 2);
      }
      window.addEventListener("message", onMessage);
    });
  }

  /* The page is being left. Should the buyer come back to it as it was (the browser's back button), it is told how things stand. */
  function leave(payment) {
    return new Promise(function (resolve) {
      window.addEventListener("pageshow", function onShow(event) {
        if (!event.persisted) return;
        window.removeEventListener("pageshow", onShow);
        read(payment).then(
          function (now) {
            var open = now.resolution === "none" ? "cancelled_by_buyer" : "in_doubt";
            resolve({ payment: payment.id, result: RESULTS[now.state] || open });
          },
          function () { resolve({ payment: payment.id, result: "in_doubt" }); }
        );
      });
      submit(payment.checkout_url, "_self");
    });
  }

  /* Sends the popup to the window. Where the shop's page forbids forms to other origins (form-action), the popup goes there by its
     address: the buyer presses one button more. */
  function open(popup, name, url) {
    function onViolation(event) {
      if (event.effectiveDirective === "form-action" && !popup.closed) popup.location.replace(new URL(url, base).href);
    }
    document.addEventListener("securitypolicyviolation", onViolation);
    setTimeout(function () { document.removeEventListener("securitypolicyviolation", onViolation); }, POLL_MS);
    submit(url, name);
  }

  function pay(options) {
    var mode = options.mode || "auto";
    if (mode === "auto") mode = isPhone() ? "redirect" : "popup";
    /* The popup is opened inside the click, before anything is awaited, or the browser blocks it. */
    var name = "payhost" + Date.now();
    var popup = mode === "popup" ? window.open("", name, WINDOW) : null;
    if (popup) {
      popup.document.title = "payhost";
      popup.document.body.textContent = options.language === "en" ? "Opening the payment window…" : "결제창을 여는 중입니다…";
    }
    return Promise.resolve()
      .then(function () { return typeof options.payment === "function" ? options.payment() : options.payment; })
      .then(function (payment) {
        if (!payment || !payment.checkout_url) throw new Error("payhost: payment() gave no checkout_url");
        if (!popup) return leave(payment);
        open(popup, name, payment.checkout_url);
        return follow(popup, payment);
      })
      .catch(function (error) {
        if (popup && !popup.closed) popup.close();
        throw error;
      });
  }

  window.Payhost = { pay: pay };
})();
