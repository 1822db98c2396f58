"""Real-time neural stylization of webcams and videos."""

# Nothing is imported here, so that a program is up, and answers Ctrl-C, before anything slow is loaded.
# cv2 always comes before av: with av loaded first, cv2's window calls hang for ever on Linux (both wheels
# carry an xcb library under one name). So av is never imported at module level, and in no module without cv2.

__version__ = "0.1.0"
