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
 * The promise settles with {payment, result}; results: paid, awaiting_deposit, awaiting_confirm, cancelled_by_buyer, cancelled
 * (by the shop), failed, in_doubt. It tells the page what to show, not the shop what was paid: the shop's server asks GET /v1/payments/{id} or waits
 * for the webhook. In "redirect" mode the page is left and the buyer comes back to the payment's return_url with
 * ?payment_id=…&result=….
 */
(function () {
  "use strict";
  var script = document.currentScript;
  var base = new URL(script && script.src ? script.src : location.href).origin;
  var POLL_MS = 1500;
  var CLOSED_MS = 20000;
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

  /* Waits for the popup: its message first, and the API behind it in case the message is lost. */
  function follow(popup, payment) {
    return new Promise(function (resolve) {
      var timer = null;
      function finish(outcome) {
        window.removeEventListener("message", onMessage);
        clearTimeout(timer);
        resolve(outcome);
      }
      function onMessage(event) {
        if (event.origin !== new URL(payment.checkout_url, base).origin) return;
        var data = event.data;
        if (!data || data.type !== "payhost.result" || data.payment !== payment.id) return;
        finish({ payment: payment.id, result: data.result });
      }
      /* A closed popup may have sent the buyer's payment on its way: it is asked about for a while. */
      var closedFor = 0;
      function poll() {
        if (popup.closed) closedFor += POLL_MS;
        read(payment).then(
          function (now) {
            if (RESULTS[now.state]) return finish({ payment: payment.id, result: RESULTS[now.state] });
            if (closedFor > CLOSED_MS) {
              return finish({ payment: payment.id, result: now.resolution === "none" ? "cancelled_by_buyer" : "in_doubt" });
            }
            timer = setTimeout(poll, POLL_MS);
          },
          function () {
            if (closedFor > CLOSED_MS) return finish({ payment: payment.id, result: "in_doubt" });
            timer = setTimeout(poll, POLL_MS);
          }
        );
      }
      window.addEventListener("message", onMessage);
      timer = setTimeout(poll, POLL_MS);
    });
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
    return Promise.resolve(typeof options.payment === "function" ? options.payment() : options.payment).then(
      function (payment) {
        if (!payment || !payment.checkout_url) throw new Error("payhost: payment() gave no checkout_url");
        if (!popup) {
          submit(payment.checkout_url, "_self");
          return new Promise(function () {}); /* the page is being left */
        }
        submit(payment.checkout_url, name);
        return follow(popup, payment);
      },
      function (error) {
        if (popup) popup.close();
        throw error;
      }
    );
  }

  window.Payhost = { pay: pay };
})();
