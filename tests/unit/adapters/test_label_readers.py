"""Readers of label files: files that other programs write, and invalid files."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octospoon.adapters.label_files import json_stream, readers
from octospoon.adapters.label_files.folder_reader import NO_FILE
from octospoon.adapters.label_files.readers import Columns
from octospoon.adapters.label_files.rows import NO_IMAGE, NO_LABEL, SEVERAL
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.multilabel import MULTILABEL

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.domain.task_types.task_type import TaskType

NONE = Columns()


def read(source: Path, form: str = "", columns: Columns = NONE, task_type: TaskType = CLASSIFICATION):
    return list(readers.read(source, form or readers.format_of(source), columns, task_type))


def labels(source: Path, form: str = "", columns: Columns = NONE) -> list[tuple[str, str]]:
    return [(row.image, row.label or row.problem) for row in read(source, form, columns)]


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def task(label: object, **more: object) -> dict[str, Any]:
    result = [
        {"from_name": "class", "to_name": "image", "type": "choices", "value": {"choices": label}},
    ]
    return {"data": {"image": "a.jpg"}, "annotations": [{"result": result}]} | more


@pytest.mark.parametrize(
    "text",
    [
        "image,label\na b.jpg,cat\nc.jpg,dog\n",
        "\ufeffimage,label\r\na b.jpg,cat\r\nc.jpg,dog\r\n",
        "Label;Filename\ncat;a b.jpg\ndog;c.jpg",
        "id\tchoice\tfile_name\n1\tcat\ta b.jpg\n2\t dog \tc.jpg\n\n",
        'image,label\n"a b.jpg","cat"\n"c.jpg",dog,extra\n',
    ],
)
def test_csv_of_any_dialect(tmp_path, text) -> None:
    source = write(tmp_path / "labels.csv", text)

    assert labels(source) == [("a b.jpg", "cat"), ("c.jpg", "dog")]


def test_csv_rows_without_image_or_class_are_named(tmp_path) -> None:
    source = write(tmp_path / "labels.csv", "image,label\n,cat\na.jpg,\nb.jpg\n")

    assert [(row.place, row.problem) for row in read(source)] == [
        ("line 2", NO_IMAGE),
        ("line 3", NO_LABEL),
        ("line 4", NO_LABEL),
    ]


def test_other_columns_of_csv_can_be_named(tmp_path) -> None:
    source = write(tmp_path / "labels.csv", "where,what\na.jpg,cat\n")

    assert labels(source, columns=Columns("Where", "what")) == [("a.jpg", "cat")]
    with pytest.raises(BadRequest, match=r"It has: where, what\. --image-column names another column"):
        read(source)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"image,label\n\xff\xfe,cat\n", "not text in UTF-8"),
        (b"", "It has: nothing"),
        (b"image,label\n" + b"a" * (1 << 21), "over 1,048,576 characters in one line"),
        (b'image,label\n"' + b"a\n" * (1 << 20), "not CSV"),
    ],
)
def test_files_that_are_no_csv_are_refused(tmp_path, text, reason) -> None:
    with pytest.raises(BadRequest, match=reason):
        read(write(tmp_path / "labels.csv", text))


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1).filter(
                str.strip
            ),
            st.sampled_from(["cat", "dog"]),
        ),
        max_size=20,
    )
)
def test_any_csv_that_python_writes_is_read(tmp_path_factory, rows) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("image", "label"), *rows])
    source = write(tmp_path_factory.mktemp("csv") / "labels.csv", text.getvalue())

    assert labels(source) == rows


def test_manifest_names_key_file_and_bytes(tmp_path) -> None:
    source = write(
        tmp_path / "m.jsonl",
        '{"key": "a.jpg", "label": "cat", "etag": "e", "more": [1]}\r\n\n{"file": "b.jpg", "key": "k", '
        '"label": "dog"}\n{"label": "cat"}\n{"key": "c", "label": null}\n',
    )

    rows = read(source)

    assert [(row.image, row.key, row.label, row.etag) for row in rows[:2]] == [
        ("a.jpg", "a.jpg", "cat", "e"),
        ("b.jpg", "k", "dog", ""),
    ]
    assert [row.problem for row in rows[2:]] == [NO_IMAGE, NO_LABEL]
    with pytest.raises(BadRequest, match="line 1: not a line of a manifest"):
        read(write(tmp_path / "n.jsonl", "[1]\n"))


def test_folder_for_each_class(tmp_path) -> None:
    for name in ("cat/a b.jpg", "cat/deep/c.PNG", "dog/d.webp", "top.jpg", "dog/notes.txt", "dog/.e.jpg"):
        write(tmp_path / name, b"x")

    assert readers.format_of(tmp_path) == "folders"
    assert labels(tmp_path) == [
        ("cat/a b.jpg", "cat"),
        ("cat/deep/c.PNG", "cat"),
        ("dog/d.webp", "dog"),
        ("top.jpg", "outside of the folder of a class"),
    ]


def test_yolo_classification_has_classes_below_its_parts(tmp_path) -> None:
    for name in ("train/cat/a.jpg", "val/dog/b.jpg", "test/dog/c.jpg"):
        write(tmp_path / name, b"x")

    assert readers.format_of(tmp_path) == "yolo"
    assert labels(tmp_path) == [
        ("test/dog/c.jpg", "dog"),
        ("train/cat/a.jpg", "cat"),
        ("val/dog/b.jpg", "dog"),
    ]


@pytest.mark.parametrize("names", ["{0: cat, 1: dog}", "[cat, dog]", "\n  0: cat\n  1: dog"])
def test_documented_yolo_layout_for_detection(tmp_path, names) -> None:
    write(tmp_path / "data.yaml", f"path: .\ntrain: images/train\nval: images/val\nnames: {names}\n")
    for name in ("train/a", "train/b", "train/c", "val/d"):
        write(tmp_path / f"images/{name}.jpg", b"x")
    write(tmp_path / "labels/train/a.txt", "0 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.1 0.1\n")
    write(tmp_path / "labels/train/b.txt", "0 0.5 0.5 1 1\r\n1 0.5 0.5 1 1\r\n")
    write(tmp_path / "labels/train/c.txt", "")

    assert labels(tmp_path) == [
        ("images/train/a.jpg", "cat"),
        ("images/train/b.jpg", "cat"),
        ("images/train/b.jpg", "dog"),
        ("images/train/c.jpg", NO_LABEL),
        ("images/val/d.jpg", NO_FILE),
    ]
    assert labels(tmp_path / "data.yaml") == labels(tmp_path)
    write(tmp_path / "labels/val/d.txt", "7 0.5 0.5 1 1\n")
    assert labels(tmp_path)[-1] == ("images/val/d.jpg", "with class 7, which is none of the 2 classes")


def test_yolo_without_class_names_is_refused(tmp_path) -> None:
    write(tmp_path / "labels/a.txt", "0 0.5 0.5 1 1\n")
    with pytest.raises(BadRequest, match=r"neither classes\.txt nor data\.yaml"):
        read(tmp_path)


def test_coco_parts_may_come_in_any_order(tmp_path) -> None:
    data = {
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2]]},
            {"id": 2, "image_id": 7, "category_id": 1},
            {"id": 3, "image_id": 8, "category_id": 1},
            {"id": 4, "image_id": 8, "category_id": 2},
            {"id": 5, "image_id": 10, "category_id": 9},
        ],
        "info": {"year": 2026},
        "images": [{"id": i, "file_name": f"{i} x.jpg", "width": 1, "height": 1} for i in (7, 8, 9, 10)],
        "licenses": [],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    source = write(tmp_path / "coco.json", b"\xef\xbb\xbf" + json.dumps(data, indent=1).encode())

    assert readers.format_of(source) == "coco"
    assert sorted(labels(source)) == [
        ("10 x.jpg", "with category 9, which the file does not list"),
        ("7 x.jpg", "cat"),
        ("8 x.jpg", "cat"),
        ("8 x.jpg", "dog"),
        ("9 x.jpg", NO_LABEL),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"images": [], "categories": [', "incomplete or wrong"),
        ('{"images": [{"id": 1}], "categories": []}', "one of its images has no id or no file_name"),
        ('{"info": {}}', "no images or no categories"),
        ('{"images": [] "categories": []}', "a comma or } is missing"),
        ('{"images": [], "categories": []} x', "something follows its end"),
        ('{"a": ' + "[" * 100_000, "incomplete or wrong"),
        ("7", "begins with neither"),
        ("", "begins with neither"),
    ],
)
def test_broken_coco_is_refused_with_a_reason(tmp_path, text, reason) -> None:
    with pytest.raises(BadRequest, match=reason):
        read(write(tmp_path / "coco.json", text), "coco")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50)
@given(
    st.lists(JSON, max_size=6) | st.dictionaries(st.text(), JSON, max_size=6),
    st.integers(1, 9),
    st.booleans(),
)
def test_json_in_small_parts_is_read_as_a_whole(tmp_path_factory, value, chunk, indented) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2 if indented else None)
    source = write(tmp_path_factory.mktemp("json") / "x.json", text.encode("utf-8", "surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
            return
        elements = list(json_stream.elements(source))

    if isinstance(value, list):
        assert elements == [("", element) for element in value]
    else:
        flat = [
            (name, element)
            for name, inner in value.items()
            for element in (inner if isinstance(inner, list) else [inner])
        ]
        assert elements == flat


def test_label_studio_tasks_give_the_class_of_their_annotators(tmp_path) -> None:
    def answer(label: str, person: int, second: int, **more: object) -> dict[str, Any]:
        (annotation,) = task([label])["annotations"]
        return (
            annotation | {"completed_by": {"id": person}, "updated_at": f"2026-01-01T00:00:0{second}Z"} | more
        )

    tasks = [
        task(["cat"], id=1),
        {
            "id": 2,
            "data": {"image": "s3://b/x.jpg", "key": "x.jpg", "etag": "e"},
            "annotations": [answer("dog", 1, 1), answer("cat", 2, 2), answer("cat", 3, 3)],
        },
        {"id": 3, "data": {"image": "a.jpg"}, "annotations": [answer("cat", 1, 1, was_cancelled=True)]},
        task(["cat", "dog"], id=4),
        task([], id=5),
        {"id": 6, "data": {"image": "a.jpg"}, "annotations": []},
        {"id": 7, "data": {}, "annotations": []},
        task([["animal", "cat"]], id=8),
    ]
    source = write(tmp_path / "tasks.json", json.dumps(tasks))

    rows = read(source)

    assert readers.format_of(source) == "label-studio"
    assert [(row.place, row.label or row.problem) for row in rows] == [
        ("task 1", "cat"),
        ("task 2", "cat"),
        ("task 3", "that nobody has answered"),
        ("task 4", SEVERAL),
        ("task 5", NO_LABEL),
        ("task 6", "that nobody has answered"),
        ("task 7", NO_IMAGE),
        ("task 8", "cat"),
    ]
    assert (rows[1].key, rows[1].etag, rows[1].image) == ("x.jpg", "e", "s3://b/x.jpg")


@pytest.mark.parametrize(
    ("address", "image"),
    [
        ("/data/upload/3/0a1b2c3d-my%20cat.jpg", "my cat.jpg"),
        ("/data/local-files/?d=photos/my%20cat.jpg", "photos/my cat.jpg"),
        ("s3://bucket/my cat.jpg", "s3://bucket/my cat.jpg"),
    ],
)
def test_addresses_of_label_studio_become_paths(tmp_path, address, image) -> None:
    source = write(tmp_path / "x.json", json.dumps([task(["cat"], data={"image": address})]))

    assert labels(source) == [(image, "cat")]


def test_controls_of_another_project_must_be_clear(tmp_path) -> None:
    def region(control: str, label: str) -> dict[str, object]:
        return {"from_name": control, "type": "choices", "value": {"choices": [label]}}

    result = [region("animal", "cat"), region("quality", "good")]
    tasks = [{"data": {"image": "a.jpg"}, "annotations": [{"result": result}]}]
    source = write(tmp_path / "x.json", json.dumps(tasks))

    assert labels(source)[0][1].startswith("answered by several controls")
    assert labels(source, columns=Columns(control="animal")) == [("a.jpg", "cat")]
    assert labels(source, columns=Columns(control="none")) == [("a.jpg", NO_LABEL)]


def test_sources_without_a_format_are_refused(tmp_path) -> None:
    for name, reason in {"x.zip": "unpack it", "x.doc": "add --format", "none": "does not exist"}.items():
        if name != "none":
            write(tmp_path / name, b"x")
        with pytest.raises(BadRequest, match=reason):
            readers.format_of(tmp_path / name)
    with pytest.raises(BadRequest, match="there is no format xml"):
        readers.read(tmp_path, "xml", NONE, CLASSIFICATION)


def test_annotators_agree_on_each_of_several_classes(tmp_path: Path) -> None:
    tasks = [
        task(["cat", "dog"]),
        task([]),
        task(["cat"]),
        {"data": {"image": "rating.jpg"}, "annotations": [{"result": [{"type": "rating", "value": {}}]}]},
        {"data": {"image": "empty.jpg"}, "annotations": [{"result": []}, {"was_cancelled": True}]},
        {"data": {"image": "open.jpg"}, "annotations": []},
        {"id": 9, "image": "flat.jpg", "choice": {"choices": ["owl", "cat"]}},
        {"id": 9, "image": "one.jpg", "choice": "owl"},
    ]
    source = write(tmp_path / "export.json", json.dumps(tasks))

    rows = read(source, "label-studio", task_type=MULTILABEL)

    assert [row.label or row.problem for row in rows] == [
        '["cat","dog"]',
        "[]",
        '["cat"]',
        NO_LABEL,
        "[]",
        "that nobody has answered",
        '["cat","owl"]',
        '["owl"]',
    ]


def test_folders_say_too_little_for_several_classes(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "a.jpg", b"x")
    write(tmp_path / "split" / "train" / "cat" / "a.jpg", b"x")
    for source in (tmp_path, tmp_path / "split"):
        with pytest.raises(BadRequest, match="a folder says one class of an image, and multilabel needs all"):
            read(source, task_type=MULTILABEL)
    boxes = tmp_path / "boxes"
    write(boxes / "classes.txt", "cat\ndog\n")
    write(boxes / "images" / "a.jpg", b"x")
    write(boxes / "labels" / "a.txt", "1 0 0 1 1\n0 0 0 1 1\n")
    assert [row.label for row in read(boxes, task_type=MULTILABEL)] == ["cat", "dog"]
