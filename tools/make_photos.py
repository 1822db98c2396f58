"""Makes the few photos that `add-style` learns on where no folder is given.

    python tools/make_photos.py [FOLDER]        into models/photos, from the photographs in scikit-image

scikit-image is needed by this tool alone: pip install scikit-image. Where each photograph is from, and its
licence: models/photos/SOURCES.md. Short side 320 pixels, which is more than a crop.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from livestyle.errors import LivestyleError
from livestyle.pictures import read_picture
from livestyle.training.dataset import resize_short_side

PHOTOS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "rocket.jpg")
SHORT_SIDE = 320
QUALITY = 85


def main() -> int:
    import skimage

    source = Path(skimage.__file__).parent / "data"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "models" / "photos"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in PHOTOS:
            picture = resize_short_side(read_picture(source / name)[0], SHORT_SIDE)
            encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
            (folder / name).with_suffix(".jpg").write_bytes(encoded.tobytes())
    except (LivestyleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
