"""A page in the browser to try methods on pictures of one's own; needs the extra `serve`."""
