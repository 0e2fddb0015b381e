"""A receiver of webhooks that trusts nothing but the reference library of Standard Webhooks.

usage: webhook.py < DELIVERIES

Each line is {"secret", "headers", "body"}; prints "verified" or "refused" for each.
"""

import json
import sys

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

for line in sys.stdin:
    delivery = json.loads(line)
    try:
        Webhook(delivery["secret"]).verify(delivery["body"], delivery["headers"])
        print("verified")
    except WebhookVerificationError:
        print("refused")
