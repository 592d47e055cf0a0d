"""Gemini's streaming protocol on loopback: server-sent events over chunked HTTP."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sEcReT-key-0123456789"


def piece(text, *, reason=None, tokens=None, thought=False):
    """One response of the stream, as the service writes it."""
    part = {"text": text} | ({"thought": True} if thought else {})
    candidate = {"content": {"role": "model", "parts": [part]}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    made = {"candidates": [candidate], "modelVersion": "gemini-test"}
    if tokens is not None:
        made["usageMetadata"] = {
            "promptTokenCount": 5,
            "candidatesTokenCount": tokens,
            "totalTokenCount": 5 + tokens,
        }
    return made


def error(code, status, message, details=()):
    """An error as the service writes it."""
    body = {"error": {"code": code, "status": status, "message": message, "details": [*details]}}
    return code, body


class Gemini:
    """What the server does: ``pieces`` to send with ``pause_s`` between, or ``failure``.

    ``cut_after`` closes the connection after so many pieces. ``requests`` keeps what came in, and
    ``gone`` is set once the client went away in mid-answer.
    """

    def __init__(self):
        self.pieces = [piece("Hello"), piece(" there", reason="STOP", tokens=3)]
        self.failure = None
        self.failure_headers = {}
        self.pause_s = 0.0
        self.cut_after = None
        self.rude = False  # cuts without the protocol's end
        self.requests = []
        self.gone = threading.Event()
        self.url = ""


@contextmanager
def serve():
    """A server in a thread; yields its ``Gemini``."""
    state = Gemini()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append((self.path, dict(self.headers), body))
            if state.failure:
                code, answer = state.failure
                content = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                for name, value in state.failure_headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for number, answer in enumerate(state.pieces):
                    if number == state.cut_after:
                        break
                    time.sleep(state.pause_s if number else 0)
                    self.event(f"data: {json.dumps(answer)}\r\n\r\n".encode())
                if state.rude:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                state.gone.set()
                self.close_connection = True

        def event(self, content):
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
