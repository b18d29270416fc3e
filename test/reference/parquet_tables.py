"""Writes test/data/sources/*.parquet with pyarrow, as other tools write such tables. pip install pyarrow==26.0.1"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).parent.parent / "data" / "sources"

webvid = pa.table(
    {
        "videoid": pa.array([101, 9007199254740993 - 1, 103, 104], pa.int64()),
        "contentUrl": [f"https://example.com/{i}.mp4" for i in range(4)],
        "duration": ["PT00H00M10S"] * 4,
        "page_dir": ["000001_000050", "000001_000050", "000051_000100", "000051_000100"],
        "name": ["A cat, asleep", 'She said "no"', "not downloaded", None],
    }
)
pq.write_table(webvid, OUT / "webvid-snappy.parquet", compression="snappy", row_group_size=3)

paths = pa.table(
    {
        "Path": [f"v/{i}.mp4" for i in range(5)] + [None],
        "Caption": ["größer als eine Katze", "b", "c", "d", "e", "no path"],
        "width": pa.array([64] * 6, pa.int32()),
        "height": pa.array([48] * 6, pa.int32()),
        "fps": pa.array([24.0] * 6, pa.float64()),
        "frames": pa.array([48] * 6, pa.int64()),
        "thumbnail": [b"\x00\xff" * 8] * 6,
    }
)
for name in ["zstd", "gzip", "brotli", "none"]:
    pq.write_table(paths, OUT / f"paths-{name}.parquet", compression=name)

captions = pa.table({"video": ["a.mp4", "b.mp4"], "captions": [["one", " two "], ["three"]]})
pq.write_table(captions, OUT / "captions-lz4.parquet", compression="lz4")
pq.write_table(pa.table({"url": ["x"], "title": ["y"]}), OUT / "columns.parquet")
