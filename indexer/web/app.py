"""The pages and their guards -> a WSGI application. Nothing but GET and HEAD is answered."""

from __future__ import annotations

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from indexer import errors
from indexer.serving.guards import Guard, seal
from indexer.web import lists, one, streams, work
from indexer.web.site import HERE, Site

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self';"
    " connect-src 'self'; form-action 'self'"
)
_YEAR_S = 31_536_000


def app_of(site: Site, guard: Guard) -> Flask:
    """The application that shows an index."""
    app = Flask("indexer.web", root_path=str(HERE))
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = _YEAR_S  # their addresses have a hash of the content
    app.url_map.merge_slashes = False  # `//` is not found, and not redirected
    site.dress(app)
    for module in (lists, one, streams, work):
        module.add_to(app, site)
    _guard(app, guard)
    _explain_errors(app)
    return app


def _guard(app: Flask, guard: Guard) -> None:
    def admitted() -> Response | None:
        why = guard.refusal(request)
        if why is not None:
            return _plain(why.text, why.status, why.headers)
        if request.method not in {"GET", "HEAD"}:
            return _plain("these pages only show", 405, {"Allow": "GET, HEAD"})
        return None

    def sealed(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-cache, private")
        seal(response, _POLICY)
        return response

    app.before_request(admitted)
    app.after_request(sealed)


def _explain_errors(app: Flask) -> None:
    def error_page(code: int, title: str, text: str) -> tuple[str, int]:
        return render_template("error.html", title=title, text=text, again=code == 503), code

    def of_index(error: errors.IndexerError) -> tuple[str, int]:
        if isinstance(error, errors.UsageError):
            return error_page(400, "That was not understood", str(error))
        if isinstance(error, errors.HistoryPruned):
            return error_page(410, "Not all of these changes are kept", str(error))
        if isinstance(error, errors.DatabaseMissing):
            return error_page(503, "Nothing is indexed yet", str(error))
        if isinstance(error, errors.DatabaseError):
            return error_page(503, "The index cannot be read now", str(error))
        return error_page(503, "That cannot be shown now", str(error))

    def of_http(error: HTTPException) -> tuple[str, int]:
        code = error.code or 500
        if code == 404:
            return error_page(
                404, "There is nothing here", "The address leads to nothing, or no longer."
            )
        return error_page(code, error.name, error.description or "")

    app.register_error_handler(errors.IndexerError, of_index)
    app.register_error_handler(HTTPException, of_http)


def _plain(text: str, status: int, headers: dict[str, str]) -> Response:
    return Response(f"{text}\n", status, headers, mimetype="text/plain")
