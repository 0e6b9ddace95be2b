// Reads {secret, good: [{headers, body}], forged: [...]} and verifies with the npm library: every good one must pass, every
// forged one must be refused. Prints how many passed.
const { Webhook } = require("standardwebhooks");
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const webhook = new Webhook(input.secret);
for (const { headers, body } of input.good) {
  const event = webhook.verify(body, headers);
  if (event.id !== headers["webhook-id"]) throw new Error("another event");
}
for (const { headers, body } of input.forged) {
  let refused = false;
  try { webhook.verify(body, headers); } catch { refused = true; }
  if (!refused) throw new Error("a forged one passed: " + body);
}
console.log(input.good.length);
