/* Runs the checkout step that the plugin chose: posts the form, goes to the address, or loads the gateway's script and calls
   its members one after the other. Plain identifier paths only; nothing is evaluated. */
(function () {
  "use strict";
  var step = JSON.parse(document.getElementById("payhost-step").textContent);
  var trouble = document.getElementById("trouble");
  var checks = document.getElementById("self-check");

  function tell(text) {
    trouble.textContent = text;
    trouble.hidden = false;
    document.querySelector("details").open = true;
  }

  /* What a buyer can see of their own browser when the window does not open. */
  function selfCheck() {
    var skew = Math.abs(Date.now() - step.now_ms);
    var findings = [
      [navigator.cookieEnabled, step.words.cookies],
      [skew < 300000, step.words.clock],
      [!/KAKAOTALK|NAVER\(inapp|Instagram|FBAN|FBAV|Line\//i.test(navigator.userAgent), step.words.in_app],
    ];
    findings.forEach(function (finding) {
      var item = document.createElement("li");
      item.textContent = (finding[0] ? "✓ " : "✗ ") + finding[1];
      item.className = finding[0] ? "good" : "bad";
      checks.appendChild(item);
    });
  }

  /* The close page inside the gateway's overlay is of our own origin and tells us that the buyer closed it. */
  window.addEventListener("message", function (event) {
    if (event.origin !== location.origin || !event.data || event.data.type !== "payhost.closed") return;
    if (event.data.checkout !== step.checkout) return;
    document.getElementById("payhost-close").submit();
  });

  /* What the browser and this page brought along: `location`, `open`, `document`. A step calls what the gateway's script has
     put there, and nothing else: a plugin sends the buyer nowhere by way of them. */
  var ours = {};
  if (step.kind === "script") {
    step.script.steps.forEach(function (next) {
      var root = next.member.split(".")[0];
      ours[root] = root in window;
    });
  }

  function call(path, args) {
    var names = path.split(".");
    if (ours[names[0]]) throw new Error(path);
    var owner = window;
    var value = window;
    names.forEach(function (name) {
      owner = value;
      value = owner == null ? undefined : owner[name];
    });
    if (typeof value !== "function") throw new Error(path);
    return value.apply(owner, args);
  }

  function run(script) {
    var tag = document.createElement("script");
    tag.src = script.url;
    tag.charset = script.charset;
    tag.onerror = function () {
      tell(step.words.blocked);
    };
    tag.onload = function () {
      script.steps
        .reduce(function (before, next) {
          return before.then(function (result) {
            var args = next.args.map(function (arg) {
              return arg === "$form" ? "payhost-form" : arg;
            });
            if (result == null) return call(next.member, args);
            return result[next.member].apply(result, args);
          });
        }, Promise.resolve(null))
        .catch(function () {
          tell(step.words.blocked);
        });
    };
    document.head.appendChild(tag);
  }

  selfCheck();
  if (step.kind === "form") document.getElementById("payhost-form").submit();
  else if (step.kind === "redirect") location.replace(step.url);
  else if (step.kind === "script") run(step.script);
})();
