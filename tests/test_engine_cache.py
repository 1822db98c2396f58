"""Where TensorRT's engines are kept, and when they are not."""

from __future__ import annotations

import mmap
import os
import stat
import sys
from pathlib import Path

import onnxruntime
import pytest

from livestyle.engines.engine_cache import cache_folder, engine_folder, tensorrt_options, tensorrt_version

WHOLE = Path("/srv/cache") if sys.platform != "win32" else Path("C:/cache")


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "~/.cache/livestyle"),
        ("linux", {"XDG_CACHE_HOME": str(WHOLE)}, f"{WHOLE}/livestyle"),
        ("linux", {"XDG_CACHE_HOME": "cache"}, "~/.cache/livestyle"),
        ("linux", {"LOCALAPPDATA": str(WHOLE)}, "~/.cache/livestyle"),
        ("win32", {"LOCALAPPDATA": str(WHOLE)}, f"{WHOLE}/livestyle"),
        ("win32", {}, "~/AppData/Local/livestyle"),
        ("darwin", {"XDG_CACHE_HOME": str(WHOLE)}, "~/Library/Caches/livestyle"),
    ],
)
def test_the_cache_lies_where_the_system_keeps_caches(
    platform: str, environment: dict[str, str], expected: str, tmp_path: Path
) -> None:
    assert cache_folder(environment, platform, tmp_path) == Path(expected.replace("~", str(tmp_path)))


def test_an_engine_has_a_folder_of_its_own_for_all_that_it_depends_on() -> None:
    folders = [
        engine_folder(b"model", (360, 640), "fp16", "1"),
        engine_folder(b"other", (360, 640), "fp16", "1"),
        engine_folder(b"model", (640, 360), "fp16", "1"),
        engine_folder(b"model", (360, 640), "f32", "1"),
        engine_folder(b"model", (360, 640), "fp16", "2"),
    ]
    assert None not in folders
    assert len(set(folders)) == 5
    assert engine_folder(b"model", (360, 640), "fp16", "1") == folders[0]


def test_no_more_than_sixteen_are_kept_and_those_used_last() -> None:
    folders = []
    for number in [*range(16), 0, 16, 17]:
        folder = engine_folder(b"model", (8, 8 * number), "fp16", "1")
        assert folder is not None
        if folder not in folders:
            (folder / "x.engine").write_bytes(b"engine")
            os.utime(folder, (number, number))
            folders.append(folder)
    assert set(folders[0].parent.iterdir()) == {folders[0], *folders[3:]}
    assert (folders[0] / "x.engine").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="rights are no mode bits there")
def test_what_is_made_is_the_users_alone(caches: Path) -> None:
    old = os.umask(0)
    try:
        folder = engine_folder(b"model", (8, 8), "fp16", "1")
    finally:
        os.umask(old)
    assert folder is not None
    for each in (folder, folder.parent, folder.parent.parent):
        assert each != caches
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform == "win32", reason="rights are no mode bits there")
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_an_engine_is_never_taken_from_where_others_may_write(
    depth: int, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder = engine_folder(b"model", (8, 8), "fp16", "1")
    assert folder is not None
    open_one = (folder, *folder.parents)[depth]
    open_one.chmod(mode)
    try:
        assert engine_folder(b"model", (8, 8), "fp16", "1") is None
    finally:
        open_one.chmod(0o700)
    assert caplog.messages[-1].endswith(f"since others may write to {open_one}; `chmod go-w` it")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize(("mode", "is_trusted"), [(0o700, True), (0o777, False), (0o1777, True)])
def test_a_link_is_trusted_as_the_place_it_leads_to(caches: Path, mode: int, is_trusted: bool) -> None:
    place = caches / "elsewhere"
    place.mkdir()
    place.chmod(mode)
    link = cache_folder()
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(place)
    assert (engine_folder(b"model", (8, 8), "fp16", "1") is not None) == is_trusted


def test_a_cache_that_cannot_be_made_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    cache_folder().parent.mkdir(parents=True, exist_ok=True)
    cache_folder().write_text("in the way")
    assert engine_folder(b"model", (8, 8), "fp16", "1") is None
    assert "TensorRT's engines are not kept" in caplog.messages[0]
    assert tensorrt_options(b"model", (8, 8), "fp16", "1") == {"trt_fp16_enable": "True"}


def test_the_version_of_tensorrt_is_its_own() -> None:
    class Library:
        def getInferLibVersion(self) -> int:  # noqa: N802 - NVIDIA's name
            return 101303

    def missing(name: str) -> object:
        raise OSError(name)

    assert tensorrt_version(lambda name: Library()) == "101303"
    assert tensorrt_version(lambda name: object()) == "unknown"
    assert tensorrt_version(missing) == "unknown"


def test_onnx_runtime_knows_the_names_of_the_options() -> None:
    options = tensorrt_options(b"model", (8, 8), "f32", "1")
    assert options.pop("trt_fp16_enable") == "False"
    assert options.keys() == {"trt_engine_cache_enable", "trt_engine_cache_path"}
    # A provider without its hardware takes no options, but has their names in it.
    for library in (Path(onnxruntime.__file__).parent / "capi").glob("*onnxruntime_providers_tensorrt.*"):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for name in ("trt_fp16_enable", *options):
                assert content.find(name.encode() + b"\0") > 0, name
