"""Video files opened for reading: those of this machine, and none that would open others."""

from pathlib import Path
from typing import Any

from kolbench.video.animations import playable

# containers that hold their pictures themselves: playlists and image patterns would open other files
READ = "mov,matroska,avi,mpeg,mpegts,asf,flv,ogg,mxf,dv,yuv4mpegpipe,gif,apng"


def open_file(path: Path) -> Any:
    """The PyAV container of a file, whatever its name looks like; titles need not be UTF-8.

    Of an animated WebP or AVIF, that of a video with the same frames.

    Raises:
        DataError: a frame of such an animation is damaged.
        av.error.FFmpegError: it is none of the containers that are read here, or damaged at its beginning.
    """
    import av

    path = playable(path)
    options = {"format_whitelist": READ, "protocol_whitelist": "file"}
    # an absolute path is never taken for a URL
    return av.open(str(path.absolute()), container_options=options, metadata_errors="replace")
