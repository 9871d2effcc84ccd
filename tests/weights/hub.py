"""A hub on loopback: as much of the Hugging Face hub's protocol as fetching a file takes."""

import hashlib
import http.server
import threading
from dataclasses import dataclass, field

COMMITS = {name: hashlib.sha1(name.encode()).hexdigest() for name in ("first", "second")}


@dataclass
class Hub:
    """Serves `files[commit]` as the `model.safetensors` of every repository whose name begins with "timm/".

    Args:
        files: their bytes by commit.
        main: the commit that the branch is at.
        sends: what to send in place of a file, of the same length.
        breaks: after how many bytes of each answer to hang up, one for an answer; then answers are whole.
        requests: of files: (method, path, range).
    """

    files: dict[str, bytes]
    main: str = COMMITS["first"]
    sends: bytes | None = None
    breaks: list[int] = field(default_factory=list)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def __enter__(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def refuse(self, status, code=None):
                self.send_response(status)
                if code:
                    self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def answer(self):
                if "/resolve/" not in self.path:  # what huggingface_hub asks for on its own account
                    return self.refuse(404)
                hub.requests.append((self.command, self.path, self.headers.get("Range")))
                repository, _, rest = self.path.lstrip("/").partition("/resolve/")
                revision, _, name = rest.partition("/")
                commit = hub.main if revision == "main" else revision
                if repository.startswith("down/"):
                    return self.refuse(503)
                if not repository.startswith("timm/"):
                    return self.refuse(404, "RepoNotFound")
                if commit not in hub.files:
                    return self.refuse(404, "RevisionNotFound")
                if name != "model.safetensors" or repository.endswith("empty"):
                    return self.refuse(404, "EntryNotFound")
                content = hub.files[commit]
                etag = hashlib.sha256(content).hexdigest()
                content = hub.sends or content
                start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
                self.send_response(206 if start else 200)
                self.send_header("X-Repo-Commit", commit)
                self.send_header("ETag", f'"{etag}"')
                self.send_header("Content-Length", str(len(content) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content[start : start + hub.breaks.pop(0)] if hub.breaks else content[start:])
                    self.close_connection = True
                return None

            do_GET = do_HEAD = answer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
