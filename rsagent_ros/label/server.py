"""The page over HTTP, on loopback, for the one person who knows its address.

Every path begins with a random token, so that no other page and no other user of the machine can ask for anything. The
host must be loopback's (a name that somebody points at 127.0.0.1 is refused), and what changes something must come from
the page itself. Nothing is kept here: a verdict is on the disk before it is confirmed.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from rsagent_ros.agent.errors import ReplyError, RunFailed, ToolFailed, describe, plain
from rsagent_ros.agent.mask import MAX_RLE_BYTES, area, encode_rle
from rsagent_ros.label.address import HOST, Address
from rsagent_ros.label.click_masks import Clicks, ClickSegmenter, outline
from rsagent_ros.label.goal_store import GoalStore, UnknownGoalError
from rsagent_ros.label.page_data import frame_jpeg, goal_json, row_json, turn_jpeg
from rsagent_ros.label.verdicts import Judgement, mask_at_hand
from rsagent_ros.records.reader import RecordError

log = logging.getLogger(__name__)

NAMES = (HOST, "localhost")
"""Host names by which a browser may call it; the port may be that of a tunnel."""

MAX_BODY = MAX_RLE_BYTES + 100_000
LIST_SECONDS = 0.5
"""Seconds for which a request for the list reads new files; the page asks again for the rest."""

TYPES = {
    suffix: f"text/{name}; charset=utf-8" for suffix, name in (("html", "html"), ("css", "css"), ("js", "javascript"))
}
PAGE = "page.html"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Body = TypeVar("Body")


class _Draw(msgspec.Struct, forbid_unknown_fields=True):
    """Request of the page for a mask."""

    record: str
    clicks: Clicks


class _Judge(msgspec.Struct, forbid_unknown_fields=True):
    """Verdict that the page sends."""

    record: str
    judgement: Judgement
    note: str = ""
    mask: dict[str, Any] | None = None  # of pages of release 0.1.0, whose verdicts may still wait in a browser
    masks: tuple[dict[str, Any], ...] = ()  # their fields are checked where they are decoded
    annotator: str = ""


class _RefusedError(Exception):
    """A request that can't be answered: the status and a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class LabelServer(ThreadingHTTPServer):
    """Serves the goals of one folder; `serve_forever` blocks, and `server_close` lets go of the port."""

    daemon_threads = True  # a browser's open connections must not keep the program alive

    def __init__(self, goals: GoalStore, drawer: ClickSegmenter, address: Address) -> None:
        """Take the port; 0 for any that is free.

        Raises:
            OSError: It can't be had; the message says what to do.
        """
        self.goals = goals
        self.drawer = drawer
        self.assets = {
            file.name: file.read_bytes()
            for file in files("rsagent_ros.label").joinpath("assets").iterdir()
            if file.name.rpartition(".")[2] in TYPES
        }
        try:
            super().__init__((HOST, address.port), _Handler)
        except OSError as error:
            raise OSError(
                f"port {address.port} of {HOST} can't be had ({error.strerror}): these records may be served already; "
                "end that, or choose another --port"
            ) from error
        self.address = Address(self.server_port, address.token)

    def server_bind(self) -> None:
        """Without asking a name service what loopback is called, which may take it seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is nothing to talk about."""
        log.debug("a connection from %s ended early", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer
    protocol_version = "HTTP/1.1"
    server_version = "rsagent"
    sys_version = ""
    timeout = 120.0
    """Seconds after which a silent connection is closed."""

    def do_GET(self) -> None:
        """The page, its parts, the list, a goal, or a picture."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A mask for clicks, or a verdict."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives it
        """Requests are not worth a line each, and their paths hold the token."""

    def _answer(self, respond: Callable[[str, dict[str, str]], None]) -> None:
        """Check where the request comes from, answer it, and turn every failure into a sentence for the page."""
        try:
            parts = urlsplit(self.path)
            self._check_host()
            token, slash, name = parts.path.removeprefix("/").partition("/")
            if not hmac.compare_digest(token.encode(), self.server.address.token.encode()):
                raise _RefusedError(
                    HTTPStatus.FORBIDDEN,
                    "This address is not that of the running server: open the one that `rsagent label` printed.",
                )
            if not slash:
                raise _RefusedError(HTTPStatus.NOT_FOUND, "The address ends with a slash.")
            query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
            respond(name, query)
        except _RefusedError as refused:
            self._refuse(refused.status, str(refused))
        except UnknownGoalError as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error.args[0]))
        except (ToolFailed, ReplyError, RunFailed) as failure:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, failure.message)
        except (RecordError, msgspec.DecodeError, ValueError) as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except ConnectionError:
            raise  # nobody is there to read a sentence
        except OSError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except Exception as error:  # a segmenter raises what its libraries raise; the person reads it, and can go on
            log.exception("a request failed")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"That failed: {describe(error)}")

    def _get(self, name: str, query: dict[str, str]) -> None:
        goals, key = self.server.goals, query.get("record", "")
        match name:
            case "":
                self._send(self.server.assets[PAGE], TYPES["html"])
            case "goals":
                listed = goals.rows(LIST_SECONDS)
                facts: dict[str, object] = {"path": plain(str(goals.path)), "segmenter": self.server.drawer.name}
                facts |= {
                    "version": str(listed.version),
                    "left": listed.left,
                }  # as text: too long for a script's number
                if query.get("known") != facts["version"]:
                    facts["rows"] = [row_json(row) for row in listed.rows]
                self._send_json(facts)
            case "goal":
                self._send_json(goal_json(key, goals.open(key)))
            case "frame":
                self._send(frame_jpeg(goals.open(key).record.image), "image/jpeg", keep=True)
            case "turn":
                record = goals.open(key).record
                number = query.get("number", "")
                picture = turn_jpeg(record.trace, int(number) if number.isdecimal() else -1, record.image)
                if picture is None:
                    raise _RefusedError(HTTPStatus.NOT_FOUND, f"the turn {number!r} has no picture")
                self._send(picture, "image/jpeg", keep=True)
            case _ if name in self.server.assets:
                self._send(self.server.assets[name], TYPES[name.rpartition(".")[2]])
            case _:
                raise _RefusedError(HTTPStatus.NOT_FOUND, f"there is nothing called {name!r}")

    def _post(self, name: str, query: dict[str, str]) -> None:
        self._check_origin()
        match name:
            case "draw":
                draw = self._body(_Draw)
                record = self.server.goals.open(draw.record).record
                drawn = self.server.drawer.draw(draw.record, record.image, mask_at_hand(record), draw.clicks)
                facts = {"score": drawn.score, "area": area(drawn.mask)}
                self._send_json({"mask": encode_rle(drawn.mask), "outline": outline(drawn.mask), **facts})
            case "verdict":
                judge = self._body(_Judge)
                masks = judge.masks if judge.mask is None else (judge.mask, *judge.masks)
                row = self.server.goals.judge(judge.record, judge.judgement, judge.note, masks, judge.annotator)
                self._send_json(row_json(row))
            case _:
                raise _RefusedError(HTTPStatus.NOT_FOUND, f"there is nothing called {name!r}")

    def _check_host(self) -> None:
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if name not in NAMES:
            raise _RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST, f"This server answers to {' and '.join(NAMES)} only, not to {name!r}."
            )

    def _check_origin(self) -> None:
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.headers.get('Host')}":
            raise _RefusedError(HTTPStatus.FORBIDDEN, f"Only the page itself may change something, not {origin!r}.")
        if self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise _RefusedError(HTTPStatus.FORBIDDEN, "Only the page itself may change something.")
        if self.headers.get_content_type() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")

    def _body(self, kind: type[Body]) -> Body:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "The body needs a Content-Length.")
        if len(length) > 12 or int(length) > MAX_BODY:
            raise _RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has {length} bytes, the limit is {MAX_BODY}."
            )
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            raise ConnectionAbortedError("the body was cut short")
        return msgspec.json.decode(data, type=kind)

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self.close_connection = True  # a body that was not read would be taken for the next request
        self._send(msgspec.json.encode({"error": plain(sentence)}), "application/json", status)

    def _send_json(self, value: object) -> None:
        self._send(msgspec.json.encode(value), "application/json")

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, *, keep: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        # Pictures of a record never change; the rest does.
        self.send_header("Cache-Control", "private, max-age=3600" if keep else "no-store")
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
