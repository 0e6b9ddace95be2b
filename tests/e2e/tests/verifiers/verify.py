# Reads {secret, good: [{headers, body}], forged: [...]} and verifies with the PyPI library: every good one must pass, every
# forged one must be refused. Prints how many passed.
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

given = json.load(sys.stdin)
webhook = Webhook(given["secret"])
for message in given["good"]:
    event = webhook.verify(message["body"], message["headers"])
    assert event["id"] == message["headers"]["webhook-id"]
for message in given["forged"]:
    try:
        webhook.verify(message["body"], message["headers"])
    except WebhookVerificationError:
        continue
    raise SystemExit("a forged one passed: " + message["body"])
print(len(given["good"]))
