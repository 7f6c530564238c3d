#!/usr/bin/env python3
"""Stands in for every function: answers an HTTP request or an invocation with what it saw, and obeys the messages of a queue.

A message may say {"fail": true} or {"sleep": seconds}.
"""

import json
import os
import sys
import time
import urllib.request

RUNTIME = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"


def answer(event):
    print("event", json.dumps(event), file=sys.stderr, flush=True)
    if "Records" in event:
        failed = []
        for record in event["Records"]:
            wish = json.loads(record["body"])
            time.sleep(wish.get("sleep", 0))
            if wish.get("fail"):
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}
    if "rawPath" in event:
        seen = {"path": event["rawPath"], "query": event["rawQueryString"], "body": event.get("body"), "headers": event["headers"]}
        seen["cookies"] = event.get("cookies")
        return {
            "statusCode": 302,
            "headers": {"location": "https://elsewhere.example/?a=1&b=2", "content-type": "application/json"},
            "cookies": ["one=1; HttpOnly", "two=2; Path=/"],
            "body": json.dumps(seen),
        }
    return {"pid": os.getpid(), "environment": {name: value for name, value in os.environ.items()}}


while True:
    with urllib.request.urlopen(RUNTIME + "next") as invocation:
        request = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        reply = answer(json.load(invocation))
    urllib.request.urlopen(urllib.request.Request(RUNTIME + request + "/response", json.dumps(reply).encode(), method="POST")).read()
