"""What annotated labels mean: KOL, product or background, as `data.labels` says."""

from collections.abc import Mapping, Sequence

from kolbench.errors import ConfigError, DataError, nearest, require_choice

KOL, PRODUCT, BACKGROUND = "kol", "product", "background"
CLASSES = (KOL, PRODUCT, BACKGROUND)
DEFAULT_LABELS: Mapping[str, Sequence[str]] = {
    KOL: ("kol", "person", "people"),
    PRODUCT: ("product", "object", "item", "bag"),
    BACKGROUND: ("background", "hole"),
}

LabelMap = Mapping[str, str | Sequence[str] | None]


def label_classes(labels: LabelMap | None) -> dict[str, str]:
    """Turns a map of class -> labels (one or a list) round: label in lower case -> one of CLASSES.

    Raises:
        ConfigError: a class is unknown, or its labels are no text.
        DataError: a label stands in two classes, or none means the KOL.
    """
    if not isinstance(labels, Mapping | None):
        raise ConfigError(
            f"data.labels={labels} is not usable; set data.labels.kol, data.labels.product or "
            "data.labels.background."
        )
    classes: dict[str, str] = {}
    for kind, names in (labels or DEFAULT_LABELS).items():
        require_choice("data.labels", kind, CLASSES)
        for name in _label_list(kind, names):
            key = plain(name)
            if classes.setdefault(key, kind) != kind:
                raise DataError(
                    f"The label {name} stands in data.labels.{classes[key]} and data.labels.{kind}."
                )
    if KOL not in classes.values():
        raise DataError("data.labels.kol is empty: name the labels that mean a KOL, such as [person].")
    return classes


def plain(label: object) -> str:
    """A label as it is compared: without blanks around it, in lower case."""
    return str(label).strip().casefold()


def kind_of(label: object, classes: Mapping[str, str], where: str) -> str:
    """Which of CLASSES a label means.

    Args:
        label: as it was drawn. classes: see `label_classes`. where: stands before the error.

    Raises:
        DataError: the label is not known; names the nearest one.
    """
    key = plain(label)
    if key in classes:
        return classes[key]
    hint = nearest(key, classes)
    meant = f" Did you mean {hint}?" if hint else ""
    raise DataError(
        f"{where}: the label {label} is not known; known are {', '.join(classes)}.{meant} "
        "Else add it to data.labels.kol, data.labels.product or data.labels.background."
    )


def require_kol(names: Sequence[str], classes: Mapping[str, str], where: str) -> None:
    """Requires that one of the categories that a set declares means a KOL.

    Raises:
        DataError: none does; lists them.
    """
    if not any(classes.get(plain(name)) == KOL for name in names):
        wanted = ", ".join(label for label, kind in classes.items() if kind == KOL)
        raise DataError(
            f"{where} has no category that means a KOL ({wanted}). It has {', '.join(names[:20]) or 'none'}; "
            "say which in data.labels.kol."
        )


def _label_list(kind: str, names: object) -> Sequence[str]:
    listed = [names] if isinstance(names, str) else () if names is None else names
    if isinstance(listed, Sequence) and all(isinstance(name, str) and name.strip() for name in listed):
        return listed
    raise ConfigError(
        f"data.labels.{kind}={names} is neither a label nor a list of labels; write it such as "
        f"'data.labels.{kind}=[\"{DEFAULT_LABELS[kind][1]}\"]', with both quotes where a label is a number."
    )
