"""What often lies where a file should: a web page, or the pointer of Git LFS."""

PAGE = "page"
LFS_POINTER = "it is a Git LFS pointer; run git lfs pull"


def stand_in(data: bytes) -> str:
    """`PAGE` or `LFS_POINTER`, by the first bytes of a file; "" = neither."""
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return PAGE
    return LFS_POINTER if start.startswith(b"version https://git-lfs") else ""
