"""The SHAP tab in TensorBoard: what it serves, all of it by way of TensorBoard's own readers.

Runs, tags and steps that a request names are looked up in what TensorBoard has read; no request
names a file. TensorBoard finds this module by the entry point ``tensorboard_plugins``.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.data import provider
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from lightning_shap.page.bundle import MODULES, STYLE, TAB, read_asset

# Those of the data, see lightning_shap.page.tensorboard, which is not loaded for them alone.
NAME, EXPLANATION, FACTS = "shap", "explanation", "facts"
ALL = 0  # TensorBoard's own word, in its flag, for "keep them all"
EVERY_STEP = 2**31 - 1
LONGEST = 4096  # characters of a run's or a tag's name
SCALAR_POINTS = 1000
MOST_SCALARS = 300

Series = Mapping[str, Mapping[str, Any]]


class ShapLoader(base_plugin.TBLoader):
    """Has TensorBoard keep every explanation, where it would keep ten of a tag."""

    def fix_flags(self, flags: Any) -> None:
        """Adds to ``--samples_per_plugin`` what it does not say."""
        kept = getattr(flags, "samples_per_plugin", None)
        if kept is not None:
            kept.setdefault(NAME, ALL)

    def load(self, context: base_plugin.TBContext) -> "ShapPlugin":
        """Returns the plugin."""
        return ShapPlugin(context)


class ShapPlugin(base_plugin.TBPlugin):
    """Serves explanations, and the page that shows them.

    Args:
        context: TensorBoard's.
    """

    plugin_name = NAME

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._provider = context.data_provider

    def is_active(self) -> bool:
        """Tells if there is anything to show; TensorBoard itself knows by the data's name."""
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Names the module to begin with, and the tab."""
        return base_plugin.FrontendMetadata(es_module_path=f"/{TAB}", tab_name="SHAP")

    def get_plugin_apps(self) -> Mapping[str, Callable[..., Any]]:
        """Lists what is served by its path: files of the page by their exact names, and data."""
        pages = {f"/{name}": _serve_file(name) for name in (*MODULES, STYLE, TAB)}
        return {
            **pages,
            "/runs": _serve(self._list_runs),
            "/series": _serve(self._read_series),
            "/values": _serve(self._read_values),
            "/samples": _serve(self._find_samples),
            "/scalars": _serve(self._read_scalars),
        }

    def _list_runs(self, request: wrappers.Request) -> Any:
        """Returns which runs have which tags, and when each of these grew last."""
        known = self._list_known(request)
        return {
            run: {tag: tags[tag].max_wall_time for tag in sorted(tags)}
            for run, tags in sorted(known.items())
        }

    def _read_series(self, request: wrappers.Request) -> Any:
        """Returns the facts of all explanations of a tag, step by step."""
        run, tag = self._read_run_and_tag(request)
        return list(self._read_facts(request, run, tag).values())

    def _read_values(self, request: wrappers.Request) -> bytes:
        """Returns the values of one explanation, or of many images a piece of them."""
        run, tag = self._read_run_and_tag(request)
        step, piece = (_read_whole(request, name) for name in ("step", "piece"))
        for datum in self._read_data(request, run, [tag]).get(tag, ()):
            if datum.step == step:
                return self._read_blob(request, datum, piece)
        raise errors.NotFoundError(f"step: there is no {step}")

    def _find_samples(self, request: wrappers.Request) -> bytes:
        """Returns what explanations of the same images share; it came with the first of them."""
        run, key = self._read_run(request), _read_argument(request, "key")
        piece = _read_whole(request, "piece")
        found = self._read_data(request, run, self._list_known(request)[run])
        for tag, data in found.items():
            holding = [datum for datum in data if len(datum.values) > 1]
            facts = self._read_facts(request, run, tag) if holding else {}
            for datum in holding:
                known = facts.get(datum.step, {})
                pieces = known.get("pieces", 1)
                if known.get("samples") == key and len(datum.values) > pieces:
                    return self._read_blob(request, datum, pieces + piece)
        raise errors.NotFoundError("key: there are no such samples")

    def _read_scalars(self, request: wrappers.Request) -> Any:
        """Returns the training's curves, [[step, value], ...] by their tags."""
        run, wanted = self._read_run(request), {"plugin_name": "scalars"}
        known = self._ask(request, "list_scalars", [run], **wanted)
        tags = sorted(known.get(run, {}))[:MOST_SCALARS]
        if not tags:
            return {}
        found = self._ask(request, "read_scalars", [run], tags, downsample=SCALAR_POINTS, **wanted)
        return {
            tag: [[point.step, point.value] for point in points if math.isfinite(point.value)]
            for tag, points in sorted(found.get(run, {}).items())
        }

    def _ask(
        self,
        request: wrappers.Request,
        what: str,
        runs: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
        **more: Any,
    ) -> Any:
        """Returns an answer of TensorBoard's readers, of ours unless another plugin is named."""
        return getattr(self._provider, what)(
            plugin_util.context(request.environ),
            experiment_id=plugin_util.experiment_id(request.environ),
            run_tag_filter=provider.RunTagFilter(runs=runs, tags=tags),
            **{"plugin_name": NAME, **more},
        )

    def _list_known(self, request: wrappers.Request) -> Series:
        """Lists what TensorBoard has read of ours, by run and tag."""
        known: Series = self._ask(request, "list_blob_sequences")
        return known

    def _read_run(self, request: wrappers.Request) -> str:
        run = _read_argument(request, "run")
        if run not in self._list_known(request):
            raise errors.NotFoundError("run: there is none of this name with explanations")
        return run

    def _read_run_and_tag(self, request: wrappers.Request) -> tuple[str, str]:
        run, tag = _read_argument(request, "run"), _read_argument(request, "tag")
        if tag not in self._list_known(request).get(run, {}):
            raise errors.NotFoundError("run, tag: there is no such run with such a tag")
        return run, tag

    def _read_data(
        self, request: wrappers.Request, run: str, tags: Iterable[str]
    ) -> Mapping[str, Any]:
        found = self._ask(request, "read_blob_sequences", [run], tags, downsample=EVERY_STEP)
        # A step may come again, as the control does for samples chosen later: the last one counts.
        return {
            tag: list({datum.step: datum for datum in data}.values())
            for tag, data in found.get(run, {}).items()
        }

    def _read_blob(self, request: wrappers.Request, datum: Any, number: int) -> bytes:
        if not 0 <= number < len(datum.values):
            raise errors.NotFoundError("the explanation is not whole")
        context, key = plugin_util.context(request.environ), datum.values[number].blob_key
        return bytes(self._provider.read_blob(context, blob_key=key))

    def _read_facts(self, request: wrappers.Request, run: str, tag: str) -> dict[int, Any]:
        """Reads the facts of a tag's explanations at once, by their steps."""
        beside = f"{tag.removesuffix(EXPLANATION)}{FACTS}"
        found = self._ask(request, "read_tensors", [run], [beside], downsample=EVERY_STEP)
        facts = {}
        for datum in found.get(run, {}).get(beside, ()):
            known = json.loads(datum.numpy[0])
            facts[datum.step] = {**known, "step": datum.step, "wall_time": datum.wall_time}
        return facts


def _read_argument(request: wrappers.Request, name: str) -> str:
    """Returns what a request gives, once, and no longer than a name may be."""
    given = request.args.getlist(name)
    if len(given) != 1 or len(given[0]) > LONGEST:
        raise errors.InvalidArgumentError(f"{name}: give one, of {LONGEST} characters at most")
    return str(given[0])


def _read_whole(request: wrappers.Request, name: str) -> int:
    text = _read_argument(request, name)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18):
        raise errors.InvalidArgumentError(f"{name}: give a whole number")
    return int(text)


def _serve_file(name: str) -> Callable[..., Any]:
    kind = "text/css" if name.endswith(".css") else "text/javascript"

    return _make_route(lambda request: http_util.Respond(request, read_asset(name), kind))


def _serve(work: Callable[[wrappers.Request], Any]) -> Callable[..., Any]:
    """Makes a route whose answer is JSON, or bytes as they are; errors are TensorBoard's."""

    def serve(request: wrappers.Request) -> wrappers.Response:
        answer = work(request)
        if isinstance(answer, bytes):
            return http_util.Respond(request, answer, "application/octet-stream")
        return http_util.Respond(request, json.dumps(answer), "application/json")

    return _make_route(serve)


def _make_route(serve: Callable[[wrappers.Request], wrappers.Response]) -> Callable[..., Any]:
    def respond(request: wrappers.Request) -> wrappers.Response:
        if request.method not in ("GET", "HEAD"):
            return http_util.Respond(request, "GET alone", "text/plain", code=405)
        return serve(request)

    application: Callable[..., Any] = wrappers.Request.application(respond)
    return application
