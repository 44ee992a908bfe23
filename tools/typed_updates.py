"""A mypy plugin: the keyword arguments of updates are checked against the fields of their class.

`replace(status, progres=45)` and `step.having(progres=45)` take keyword arguments that are fields
of a frozen class. Without this plugin mypy accepts any name and any value there: typing has no way
to say "the fields of that class, all optional". mypy has such a plugin of its own for
`dataclasses.replace`, which knows dataclasses only.
"""

from collections.abc import Callable
from typing import Final

from mypy.nodes import ARG_NAMED_OPT, TypeInfo
from mypy.plugin import FunctionSigContext, MethodSigContext, Plugin
from mypy.types import CallableType, FunctionLike, Instance, get_proper_type

REPLACE: Final = "scriptix_operator.api.base.replace"
CONTEXT: Final = "scriptix_operator.core.reconcile.context.ReconcileContext"
"""The class whose methods update one of its parts."""
STATE: Final = "scriptix_operator.core.reconcile.in_process_state"
"""The module of the in-process state and its parts."""
METHODS: Final = {
    f"{CONTEXT}.with_facts": "scriptix_operator.api.status.TrainingStatus",
    f"{CONTEXT}.with_run": "scriptix_operator.api.status.Run",
    f"{CONTEXT}.with_state": f"{STATE}.InProcessState",
    f"{CONTEXT}.with_polls": f"{STATE}.PollState",
    f"{CONTEXT}.with_start": f"{STATE}.StartState",
    f"{CONTEXT}.with_log_fetches": f"{STATE}.LogFetchState",
}
"""The class whose fields each method takes."""


class TypedUpdates(Plugin):
    """Gives updates the signature of the constructor, with every argument optional."""

    def get_function_signature_hook(
        self, fullname: str
    ) -> Callable[[FunctionSigContext], FunctionLike] | None:
        """Check `replace`, whose class is that of the first argument."""
        return _of_first_argument if fullname == REPLACE else None

    def get_method_signature_hook(
        self, fullname: str
    ) -> Callable[[MethodSigContext], FunctionLike] | None:
        """Check the methods, whose class is fixed."""
        target = METHODS.get(fullname)
        if target is None:
            return None

        def check(context: MethodSigContext) -> FunctionLike:
            found = self.lookup_fully_qualified(target)
            if found is None or not isinstance(found.node, TypeInfo):
                raise ValueError(f"tools/typed_updates.py names {target}, which does not exist")
            return _with_fields(context.default_signature, found.node, kept=0)

        return check


def _of_first_argument(context: FunctionSigContext) -> FunctionLike:
    first = context.args[0][0] if context.args and context.args[0] else None
    found = None if first is None else get_proper_type(context.api.get_expression_type(first))
    if not isinstance(found, Instance):
        return context.default_signature
    return _with_fields(context.default_signature, found.type, kept=1)


def _with_fields(signature: CallableType, info: TypeInfo, *, kept: int) -> CallableType:
    """The signature with `kept` positional arguments, then the fields of a class, all optional."""
    constructor = get_proper_type(info["__init__"].type)
    if not isinstance(constructor, CallableType):
        return signature
    fields = [
        (name, kind)
        for name, kind in zip(constructor.arg_names, constructor.arg_types, strict=True)
        if name not in {None, "self", "__pydantic_self__"}
    ]
    names = [*signature.arg_names[:kept], *(name for name, _ in fields)]
    types = [*signature.arg_types[:kept], *(kind for _, kind in fields)]
    kinds = [*signature.arg_kinds[:kept], *(ARG_NAMED_OPT for _ in fields)]
    return signature.copy_modified(arg_types=types, arg_kinds=kinds, arg_names=names)


def plugin(_version: str) -> type[Plugin]:
    """Entry point of mypy."""
    return TypedUpdates
