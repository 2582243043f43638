"""Whether what one port gives may go into another port."""

from cauldron.domain.tool import MEDIA_KINDS, Kind, Port


def carries(source: Port, target: Port) -> str | None:
    """Why a value of ``source`` may not go into ``target``, or None when it may.

    Equal kinds fit; an integer is a number, every medium is a file, a file may be
    any medium (which is seen only when it is there), and everything is JSON.
    Nothing else is converted: text is made by a template.
    """
    if source.kind is target.kind:
        return _parts_differ(source, target)
    if source.kind is Kind.INTEGER and target.kind is Kind.NUMBER:
        return None
    media = source.kind in MEDIA_KINDS and target.kind in MEDIA_KINDS
    if target.kind is Kind.JSON or (media and Kind.FILE in (source.kind, target.kind)):
        return None
    hint = "; write it as a template" if target.kind is Kind.TEXT else ""
    return f"{_named(source.kind)} does not fit {_named(target.kind)}{hint}"


def _parts_differ(source: Port, target: Port) -> str | None:
    """Whether lists, objects and choices of one kind fit inside."""
    if source.kind is Kind.CHOICE:
        extra = [choice for choice in source.choices if choice not in target.choices]
        return f"may be {extra[0]!r}, which is not accepted there" if extra else None
    if source.kind is Kind.LIST and source.item and target.item:
        return carries(source.item, target.item)
    if source.kind is not Kind.OBJECT:
        return None
    given = {field.name: field for field in source.fields}
    for field in target.fields:
        if field.name not in given and field.required:
            return f"the field {field.name!r} is required there"
        if field.name in given and (reason := carries(given[field.name], field)):
            return f"the field {field.name!r}: {reason}"
    extra_fields = sorted(given.keys() - {field.name for field in target.fields})
    return f"the field {extra_fields[0]!r} is not known there" if extra_fields else None


def _named(kind: Kind) -> str:
    return f"{'an' if kind.value[0] in 'aio' else 'a'} {kind.value}" if kind is not Kind.TEXT else "text"
