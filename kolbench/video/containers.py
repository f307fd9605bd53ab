"""Video files opened for reading: those of this machine, and none that would open others."""

from pathlib import Path
from typing import Any

# containers that hold their pictures themselves: playlists and image patterns would open other files
READ = "mov,matroska,avi,mpeg,mpegts,asf,flv,ogg,mxf,dv,yuv4mpegpipe,gif,apng"


def open_file(path: Path) -> Any:
    """The PyAV container of a file, whatever its name looks like; titles need not be UTF-8.

    Raises:
        av.error.FFmpegError: it is none of the containers that are read here, or damaged at its beginning.
    """
    import av

    options = {"format_whitelist": READ, "protocol_whitelist": "file"}
    # an absolute path is never taken for a URL
    return av.open(str(path.absolute()), container_options=options, metadata_errors="replace")
