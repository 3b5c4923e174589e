"""The recorder: what it makes of calls, and that it changes nothing about them."""

from __future__ import annotations

import json
import threading
import unittest
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import recorder
from recorder import Call, Recorder


def headers(service: str, **more: str) -> dict[str, str]:
    """Headers of a call by the SDK; names as they come, values by underscores."""
    signed = f"AWS4-HMAC-SHA256 Credential=test/20261120/eu-west-1/{service}/aws4_request, Signature=0"
    return {
        "authorization": signed,
        "user-agent": "aws-sdk-rust/1.3 os/linux lang/rust/1.95 app/publisher",
        "amz-sdk-request": "attempt=2; max=5",
    } | {name.replace("_", "-"): value for name, value in more.items()}


class Describing(unittest.TestCase):
    def test_calls_are_known_by_what_their_protocol_says(self):
        layer = "/2018-10-31/layers/data-tools-py313/versions"
        for method, path, service, more, body, name, resource in (
            ("POST", "/", "dynamodb", {"x_amz_target": "DynamoDB_20120810.GetItem"},
             b'{"TableName": "layers"}', "dynamodb:GetItem", "layers"),
            ("POST", "/", "dynamodb", {"x_amz_target": "DynamoDB_20120810.TransactWriteItems"},
             b'{"TransactItems": [{"Put": {"TableName": "b"}}, {"Update": {"TableName": "a"}}]}',
             "dynamodb:TransactWriteItems", "a+b"),
            ("POST", "/", "ssm", {"x_amz_target": "AmazonSSM.PutParameter"}, b"{}", "ssm:PutParameter", ""),
            ("POST", "/", "states", {"x_amz_target": "AWSStepFunctions.StartExecution"}, b"{}",
             "states:StartExecution", ""),
            ("POST", "/", "sns", {}, b"Action=Publish&Version=2010-03-31", "sns:Publish", ""),
            ("POST", layer, "lambda", {}, b"{}", "lambda:PublishLayerVersion", ""),
            ("GET", layer, "lambda", {}, b"", "lambda:ListLayerVersions", ""),
            ("GET", f"{layer}/3", "lambda", {}, b"", "lambda:GetLayerVersion", ""),
            ("POST", f"{layer}/3/policy", "lambda", {}, b"{}", "lambda:AddLayerVersionPermission", ""),
            ("GET", "/bucket/accretion/requests/a.json?x-id=GetObject", "s3", {}, b"",
             "s3:GetObject", "accretion/requests"),
            ("HEAD", "/bucket/accretion/artifacts/p/a.zip", "s3", {}, b"", "s3:HeadObject", "accretion/artifacts"),
            ("PUT", "/bucket/a%20b", "s3", {}, b"x", "s3:PutObject", "a b"),
            ("GET", "/bucket?list-type=2", "s3", {}, b"", "s3:ListObjectsV2", ""),
        ):
            call = recorder.describe(method, path, headers(service, **more), body)
            self.assertEqual((call.name, call.resource), (name, resource))
            self.assertEqual((call.function, call.attempt), ("publisher", 2))

    def test_a_call_that_is_not_known_is_not_passed_over(self):
        for method, service in (("DELETE", "s3"), ("POST", "kms"), ("GET", "lambda")):
            with self.assertRaises(ValueError):
                recorder.describe(method, "/unheard/of", headers(service), b"")
        with self.assertRaises(ValueError):
            recorder.describe("GET", "/bucket/key", {}, b"")

    def test_bytes_are_those_of_the_object_and_not_of_its_packing(self):
        packed = headers("s3", x_amz_decoded_content_length="5")
        self.assertEqual(recorder.describe("PUT", "/b/k", packed, b"5;sig\r\nhello").bytes_up, 5)

    def test_units_are_told_apart_by_index(self):
        of_one = {"TableName": "t", "CapacityUnits": 3.0,
                  "GlobalSecondaryIndexes": {"open": {"CapacityUnits": 2.0}}}
        self.assertEqual(
            recorder.units(json.dumps({"ConsumedCapacity": of_one}).encode()), {"t/": 1.0, "t/open": 2.0}
        )
        of_many = [of_one, {"TableName": "u", "CapacityUnits": 2.0}]
        self.assertEqual(
            recorder.units(json.dumps({"ConsumedCapacity": of_many}).encode()),
            {"t/": 1.0, "t/open": 2.0, "u/": 2.0},
        )
        for nothing in (b"", b"{}", b"<html>"):
            self.assertEqual(recorder.units(nothing), {})


class Times(unittest.TestCase):
    def calls(self, *spans: tuple[float, float]) -> list[Call]:
        return [Call("f", "s3", "GetObject", started=it[0], ended=it[1]) for it in spans]

    def test_depth_is_the_longest_chain(self):
        for spans, depth in (
            ([], 0),
            ([(0, 1)], 1),
            ([(0, 1), (1, 2), (3, 4)], 3),
            # All at once.
            ([(0, 3), (0, 2), (0, 1)], 1),
            # One, six at once, one.
            ([(0, 1), *[(1, 2 + it) for it in range(6)], (9, 10)], 3),
        ):
            self.assertEqual(recorder.depth(self.calls(*spans)), depth)

    def test_time_counts_once_however_many_calls_are_under_way(self):
        self.assertEqual(recorder.busy(self.calls((0, 2), (1, 3), (5, 6))), 4)
        self.assertEqual(recorder.busy(self.calls((0, 9), (1, 2), (3, 4))), 9)
        self.assertEqual(recorder.busy([]), 0)


class Emulator(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = json.dumps({"method": self.command, "path": self.path, "body": body.decode(),
                             "x": self.headers.get("x-kept")}).encode()
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("x-kept", "answered")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_PUT = do_POST = answer

    def log_message(self, format, *args):
        pass


class Forwarding(unittest.TestCase):
    def setUp(self):
        self.emulator = ThreadingHTTPServer(("127.0.0.1", 0), Emulator)
        threading.Thread(target=self.emulator.serve_forever, daemon=True).start()
        self.addCleanup(self.emulator.server_close)
        self.addCleanup(self.emulator.shutdown)
        self.recorder = Recorder()
        self.recorder.upstream = self.emulator.server_address[1]
        self.addCleanup(self.recorder.close)
        self.connection = HTTPConnection("127.0.0.1", self.recorder.port, timeout=10)
        self.addCleanup(self.connection.close)

    def ask(self, method: str, path: str, body: bytes = b"", **more: str):
        sent = headers(more.pop("service", "s3"), x_kept="sent", **more)
        self.connection.request(method, path, body, sent)
        answer = self.connection.getresponse()
        return answer, answer.read()

    def test_both_sides_get_what_the_other_one_sent(self):
        # One connection for all of them, as clients do.
        for method, path, body in (
            ("PUT", "/b/a/k%2B?x-id=PutObject", b"hello"),
            ("GET", "/b/a/missing", b""),
            ("GET", "/b/a/k", b""),
        ):
            answer, content = self.ask(method, path, body)
            self.assertEqual(answer.status, 404 if "missing" in path else 200)
            self.assertEqual(answer.headers["x-kept"], "answered")
            expected = {"method": method, "path": path, "body": body.decode(), "x": "sent"}
            self.assertEqual(json.loads(content), expected)
        put, missing, got = self.recorder.take()
        self.assertEqual([it.status for it in (put, missing, got)], [200, 404, 200])
        self.assertEqual((put.bytes_up, got.bytes_down), (5, len(content)))
        self.assertLessEqual(put.started, put.ended)
        self.assertEqual(self.recorder.take(), [])

    def test_the_length_of_what_is_only_asked_about_is_told(self):
        answer, content = self.ask("HEAD", "/b/a/k")
        self.assertGreater(int(answer.headers["Content-Length"]), 10)
        self.assertEqual(content, b"")
        self.ask("GET", "/b/a/k")
        self.assertEqual([it.operation for it in self.recorder.take()], ["HeadObject", "GetObject"])

    def test_dynamodb_is_asked_what_a_call_consumed(self):
        _, content = self.ask(
            "POST", "/", b'{"TableName": "t"}', service="dynamodb", x_amz_target="DynamoDB.GetItem"
        )
        asked = json.loads(json.loads(content)["body"])
        self.assertEqual(asked, {"TableName": "t", "ReturnConsumedCapacity": "INDEXES"})

    def test_a_call_that_is_not_known_ends_the_measurement(self):
        self.ask("POST", "/", service="kms")
        with self.assertRaises(SystemExit):
            self.recorder.take()


if __name__ == "__main__":
    unittest.main()
