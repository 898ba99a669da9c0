"""Frozen dataclasses with slots, made in a quarter of the time that `dataclasses` takes.

A command makes a hundred of them before it begins. `dataclasses` compiles six functions for each; here they
are shared. Whoever uses them sees no difference, nor do `replace`, `fields` and `asdict`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass  # what type checkers know about them holds here too
else:
    import dataclasses
    import inspect
    import operator
    import types
    from functools import cache

    _MISSING = dataclasses.MISSING
    _OF_EVERY_CLASS = {"__dict__", "__weakref__"}

    @dataclasses.dataclass(init=False, repr=False, eq=False, frozen=True)
    class _Example:
        """The least that is quickly made."""

    _PARAMS = _Example.__dataclass_params__  # what `pprint` asks for

    def dataclass(*, frozen, slots, order=False, repr=True):  # noqa: A002  # as `dataclasses` names it
        """`dataclasses.dataclass` for values; TypeError for what only that one makes."""
        if not (frozen and slots):
            raise TypeError("this makes frozen dataclasses with slots, and no others")
        return lambda cls: _made(cls, order, repr)

    def _made(cls, order, shown):
        if hasattr(cls, "__dataclass_fields__") or hasattr(cls, "__post_init__"):
            raise TypeError(f"{cls.__name__} inherits fields or has a __post_init__: use dataclasses")
        fields = {name: _field(cls, name, kind) for name, kind in inspect.get_annotations(cls).items()}
        own = {name: value for name, value in cls.__dict__.items() if name not in {*fields, *_OF_EVERY_CLASS}}
        init = _init(fields)
        body = {"__init__": init, **_methods(fields, order, shown), **own}
        body |= {"__slots__": tuple(fields), "__match_args__": tuple(fields)}
        body |= {"__dataclass_fields__": fields, "__dataclass_params__": _PARAMS}
        made = type(cls)(cls.__name__, cls.__bases__, body)
        init.__globals__.update({f"_set_{at}": made.__dict__[name].__set__ for at, name in enumerate(fields)})
        return made

    def _field(cls, name, kind):
        """A real `Field`, so that `replace` and its like work."""
        value = cls.__dict__.get(name, _MISSING)
        field = value if isinstance(value, dataclasses.Field) else dataclasses.field(default=value)
        if type(field.default).__hash__ is None:
            raise TypeError(f"{cls.__name__}.{name} would be shared: use default_factory")
        if not field.init or str(kind).startswith(("ClassVar", "InitVar", "KW_ONLY")):
            raise TypeError(f"{cls.__name__}.{name} is not given to __init__: use dataclasses")
        field.name, field.type = name, kind
        field._field_type = dataclasses._FIELD  # noqa: SLF001  # how `fields` knows one
        return field

    def _methods(fields, order, shown):
        values = _getter([name for name, field in fields.items() if field.compare])

        def equal(self, other):
            return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

        def hashed(self):
            return hash(values(self))

        def represented(self):
            said = (f"{name}={getattr(self, name)!r}" for name, field in fields.items() if field.repr)
            return f"{self.__class__.__qualname__}({', '.join(said)})"

        def reduced(self):
            return self.__class__, tuple(getattr(self, name) for name in fields)

        methods = {"__eq__": equal, "__hash__": hashed, "__reduce__": reduced}
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
        methods |= {"__repr__": represented} if shown else {}
        return methods | (_comparisons(values) if order else {})

    def _getter(names):
        """A function that gives all of these at once: nothing, a value, or a tuple."""
        return operator.attrgetter(*names) if names else lambda self: ()

    def _comparisons(values):
        def compared(compare):
            return lambda self, other: (
                compare(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented
            )

        return {f"__{name}__": compared(getattr(operator, name)) for name in ("lt", "le", "gt", "ge")}

    def _refuse(self, name, value=None):
        raise dataclasses.FrozenInstanceError(f"cannot change field {name!r}")

    def _init(fields):
        """An `__init__` that puts what it is given straight into the slots; their setters come later."""
        makers = {at: field.default_factory for at, field in enumerate(fields.values())}
        makers = {at: maker for at, maker in makers.items() if maker is not _MISSING}
        optional = [at in makers or field.default is not _MISSING for at, field in enumerate(fields.values())]
        if optional != sorted(optional):
            raise TypeError("a field without a default comes after one with a default")
        defaults = tuple(field.default for field in fields.values())[optional.count(False) :]
        names = {"_missing": _MISSING, **{f"_make_{at}": maker for at, maker in makers.items()}}
        code = _template(len(fields), frozenset(makers)).replace(co_varnames=("self", *fields))
        return types.FunctionType(code, names, "__init__", defaults)

    @cache
    def _template(count, made):
        """Code for so many fields, some of them made where they are not given. Nothing else is compiled."""
        given = [f"_{at}" for at in range(count)]
        values = [
            f"_make_{at}() if _{at} is _missing else _{at}" if at in made else f"_{at}" for at in range(count)
        ]
        body = [f" _set_{at}(self, {value})" for at, value in enumerate(values)]
        names = {}
        exec("\n".join([f"def init({', '.join(['self', *given])}):", *body, " pass"]), names)  # noqa: S102  # numbers
        return names["init"].__code__
