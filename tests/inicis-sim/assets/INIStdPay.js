// inicis-sim: a simulator's stand-in for the INIStdPay script. Invariant: it changes the merchant's form only while it
// posts it, and the overlay is the only thing that it leaves in the page. While the overlay is there, neither keyboard nor
// screen reader reaches what lies under it; whoever takes it away gives the page back.
(function () {
  "use strict";
  var origin = new URL(document.currentScript.src).origin;
  var mobile = /Android|iPhone|iPad|iPod|Windows Phone/i;

  function close() {
    var old = document.querySelectorAll(".inipay_overlay");
    for (var i = 0; i < old.length; i += 1) old[i].remove();
    document.documentElement.style.overflow = "";
  }

  function hold(back) {
    var focused = document.activeElement;
    var held = Array.prototype.filter.call(document.body.children, function (child) {
      return child !== back && child instanceof HTMLElement && !child.inert;
    });
    held.forEach(function (child) { child.inert = true; });
    var observer = new MutationObserver(function () {
      if (back.isConnected) return;
      observer.disconnect();
      held.forEach(function (child) { child.inert = false; });
      if (focused && focused.isConnected) focused.focus();
    });
    observer.observe(document.body, { childList: true });
  }

  function overlay() {
    close();
    var back = document.createElement("div");
    back.className = "inipay_overlay";
    back.setAttribute("role", "dialog");
    back.setAttribute("aria-modal", "true");
    back.setAttribute("aria-label", "KG이니시스 결제창");
    back.style.cssText = "position:fixed;inset:0;z-index:2147483000;background:rgba(0,0,0,.55);" +
      "display:flex;align-items:center;justify-content:center;margin:0;padding:0";
    document.body.appendChild(back);
    document.documentElement.style.overflow = "hidden";
    hold(back);
    return back;
  }

  function message(title, text) {
    var box = document.createElement("div");
    box.style.cssText = "background:#fff;color:#222;padding:24px;max-width:420px;width:90%;font:15px sans-serif;border-radius:8px";
    var head = document.createElement("strong");
    head.textContent = title;
    var body = document.createElement("p");
    body.textContent = text;
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = "닫기";
    button.addEventListener("click", close);
    box.append(head, body, button);
    overlay().appendChild(box);
    button.focus();
  }

  function hidden(form, name, value) {
    var input = document.createElement("input");
    input.type = "hidden";
    input.name = name;
    input.value = value;
    form.appendChild(input);
    return input;
  }

  function pay(formId) {
    var form = typeof formId === "string" ? document.getElementById(formId) : formId;
    if (!(form instanceof HTMLFormElement)) {
      message("INIStdPay", "결제 폼을 찾을 수 없습니다: " + formId);
      return;
    }
    if (mobile.test(navigator.userAgent)) {
      message("INIStdPay / Dev.Error", "PC 결제 모듈은 모바일 기기에서 열 수 없습니다.");
      return;
    }
    var frame = document.createElement("iframe");
    frame.className = "inipay_iframe";
    frame.name = "inipay_iframe";
    frame.title = "KG이니시스 결제창";
    frame.style.cssText = "border:0;background:#fff;width:820px;height:600px;max-width:100vw;max-height:100vh;border-radius:8px";
    frame.addEventListener("load", function () { frame.focus(); });
    overlay().appendChild(frame);

    var names = ["action", "method", "target", "accept-charset", "enctype"];
    var before = names.map(function (name) { return form.getAttribute(name); });
    form.setAttribute("action", origin + "/payMain/pay");
    form.setAttribute("method", "post");
    form.setAttribute("target", frame.name);
    form.setAttribute("accept-charset", "UTF-8");
    form.removeAttribute("enctype");
    var added = hidden(form, "requestByJs", "true");
    // A field named "submit" would hide the method of the form.
    HTMLFormElement.prototype.submit.call(form);
    added.remove();
    names.forEach(function (name, i) {
      if (before[i] === null) form.removeAttribute(name); else form.setAttribute(name, before[i]);
    });
  }

  // The error page of the window lives on the gateway's origin and can only ask to be closed.
  window.addEventListener("message", function (event) {
    if (event.origin === origin && event.data === "inicis-sim:close") close();
  });

  window.INIStdPay = { pay: pay };
})();
