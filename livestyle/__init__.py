"""Real-time neural stylization of webcams and videos."""

# cv2 before av: with av loaded first, cv2's window calls hang for ever on Linux (both wheels carry
# an xcb library under one name). Nothing in livestyle may import av at module level.
import cv2 as _cv2  # noqa: F401

__version__ = "0.1.0"
