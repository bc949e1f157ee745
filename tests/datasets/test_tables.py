"""Tables as other programs write them, and CSV of spreadsheets: read right, or refused with line and column."""

import csv
import shlex

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.configs import composed
from vae_cli.datasets import Table
from vae_cli.datasets.columns import summary
from vae_cli.datasets.new_data import read_like
from vae_cli.datasets.schema import Schema
from vae_cli.errors import UserError
from vae_cli.runs.folder import RunFolder

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "id": np.arange(1, 61),
        "weight": RNG.normal(70, 9, 60).round(3),
        "length of leaf": RNG.normal(0, 9, 60),
        "children": RNG.poisson(30, 60),
        "unit": "kg",
        "city": RNG.choice(["Berlin", "Köln", "Ulm"], 60),
    }
)
NUMBERS = ["weight", "length of leaf", "children"]


def table(path, **keys) -> Table:
    defaults = {"batch_size": 4, "val_size": 5, "val_seed": 0, "binarize": "none", "test_fraction": 0.2, "test_seed": 0}
    return Table(path=str(path), domain="real", **{"standardise": "auto", **defaults, **keys})


def rows(data) -> np.ndarray:
    """x of all splits in the order of the file."""
    splits = (data.train, data.val, data.test)
    x = np.concatenate([np.asarray(split.x) for split in splits])
    return x[np.argsort(np.concatenate([split.rows for split in splits]))]


def spreadsheet(path, frame) -> None:
    """A file as a German spreadsheet writes it: semicolons, decimal commas, quotes, BOM, an empty last line."""
    text = frame.to_csv(sep=";", decimal=",", index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b";;;;;\r\n\r\n")


WRITERS = {
    "a.csv": lambda path: FRAME.to_csv(path, index=False),
    "b.csv": lambda path: spreadsheet(path, FRAME),
    "c.csv": lambda path: FRAME.to_csv(path, index=False, sep=";", encoding="cp1252"),
    "d.csv": lambda path: path.write_text("sep=|\n" + FRAME.to_csv(index=False, sep="|"), encoding="utf-16"),
    "a.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "a.csv.gz": lambda path: FRAME.to_csv(path, index=False),
    "a.TSV.gz": lambda path: FRAME.to_csv(path, index=False, sep="\t", compression="gzip"),
    "a.parquet": lambda path: FRAME.to_parquet(path),
    "a.feather": lambda path: FRAME.to_feather(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_is_read_as_it_was_written(tmp_path, name):
    WRITERS[name](tmp_path / name)
    data = table(tmp_path / name, y="city").load()
    np.testing.assert_allclose(rows(data), FRAME[NUMBERS].to_numpy(float), rtol=1e-12)
    assert data.class_names == ("Berlin", "Köln", "Ulm") and data.train.y is not None
    cities = FRAME["city"].to_numpy()[data.train.rows]
    assert [data.class_names[k] for k in data.train.y.tolist()] == cities.tolist()
    assert [(one.name, one.kind) for one in data.columns] == [
        ("id", "identifier"),
        ("weight", "positive"),
        ("length of leaf", "real"),
        ("children", "count"),
        ("unit", "constant"),
        ("city", "label"),
    ]
    shown = ", ".join(summary(data.columns))
    assert shown.startswith("1 identifier (id), 1 positive (weight), 1 real (length of leaf), 1 count (children)")
    assert data.standardisation is not None
    train = FRAME[NUMBERS].to_numpy(float)[data.train.rows]
    np.testing.assert_allclose(data.standardisation.mean, train.mean(0))
    np.testing.assert_allclose(data.standardisation.scale, train.std(0))


FAULTS = {
    "a;b\n1;2\n3;4;5\n": "line 3: 3 cells, the first row has 2",
    "a,b\n1,2\n\n3,\n": r"line 4, column b: the cell is empty, .*, use 'dataset.columns=\[a\]'",
    "a,b\n1,2\n3,NA\n5,6\n": "line 3, column b: the cell is empty",
    'a,b\n1,"two\nlines"\n2,c\n' + "3,d\n3,NaN\n": "line 6, column b: the cell is empty",
    "a,b\n" + "1,2\n" * 20 + "1,x2\n": "line 22, column b: 'x2' is no number; correct it",
    "a;b\n1,5;2.25\n2,5;3.5\n": r"line 2, column a: 1,5 has a decimal comma, line 2, column b: 2\.25 a decimal point",
    'a;b\n"1,234";2\n"2,345";3\n': r"line 2, column a: 1,234 has a decimal comma or separated thousands",
    "a,day\n1.5,2024-01-31\n2.5,2024-02-01\n": r"holds 1 date \(day\); tables of mixed types come later; use",
    "a,day\n1.5,31.01.2024\n2.5,1.2.2024\n": r"holds 1 date \(day\); .*\[a\]'",
    "a,c\n1.5,u\n2.5,v\n3.5,w\n4.5,u\n": r"holds 1 categorical \(c\); .*use 'dataset\.columns=\[a\]'",
    "a,f\n1.5,0\n2.5,1\n3.5,0\n": r"holds 1 binary \(f\); .*or 'dataset\.types\.real=\[f\]' for 0 and 1",
    "a,f\n1,0\n0,1\n0,0\n": "use dataset.domain=binary likelihood=bernoulli, or 'dataset",
    "a,a\n1,2\n": "two columns have the name 'a'",
    "a,b\n": "has no rows",
    "land,2019,2020\nx,1.5,2\ny,2.5,3\n": "line 1: 2019, 2020 may be names .*; write names with letters",
    "": "is empty",
    "a,b\n1,2\n1,2\n": r"holds no column of numbers that varies, but 2 constant \(a, b\)",
    "# a remark\na,b\n1,2\n": r"but 1 identifier \(# a remark\); .*remove lines above its names",
    "a b\n1 2\n3 4\n": "separate its cells by ; , | or tabs",
    "a,c\n1.5,u\n2.5,v\n3.5,v\n": r"holds 1 binary \(c\); .*use 'dataset\.columns=\[a\]'$",
    "a,b\n1,2%\n2,1.5 %\n": r"line 2, column b: 2% has a sign beside the number; remove the sign",
    "a;b\n1;$2.50\n2;$3.25\n": r"line 2, column b: \$2\.50 has a sign",
    "a;b\n1;2,5\n2;(1,5)\n": r"line 3, column b: \(1,5\) has a sign",
    "a,b\n1,1e999\n2,3\n": "line 2, column b: inf is not finite",
}


@pytest.mark.parametrize(("text", "message"), FAULTS.items())
def test_a_fault_is_one_line_with_its_place(tmp_path, text, message):
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        table(tmp_path / "data.csv").load()
    assert "data.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_numbers_of_spreadsheets_are_read_with_their_thousands(tmp_path):
    text = "a;b\n1.234,5;-2\n12.345.678,25;+3\n1.234;7\n0,001;1e3\n"
    (tmp_path / "data.csv").write_text(text)
    expected = [[1234.5, -2], [12345678.25, 3], [1234, 7], [0.001, 1000]]
    np.testing.assert_array_equal(rows(table(tmp_path / "data.csv", val_size=1).load()), expected)
    (tmp_path / "data.csv").write_text('a,b\n"1,234.5",1\n"1,234",2.5\n7,0.5\n')
    expected = [[1234.5, 1], [1234, 2.5], [7, 0.5]]
    np.testing.assert_array_equal(rows(table(tmp_path / "data.csv", val_size=1).load()), expected)
    (tmp_path / "data.csv").write_text("1,5\n2,6.5\n3,7\n")
    assert [one.name for one in table(tmp_path / "data.csv", val_size=1, types={"real": ["0"]}).load().columns] == [
        "0",
        "1",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b\n1 234,5;-2\n12\u00a0345\u202f678,25;\u22123\n7,1;1\n", [[1234.5, -2], [12345678.25, -3], [7.1, 1]]),
        ("a;b\n1'234.5;2\n12\u2019345;3\n7.1;1\n", [[1234.5, 2], [12345, 3], [7.1, 1]]),
    ],
)
def test_thousands_may_stand_apart(tmp_path, text, expected):
    (tmp_path / "data.csv").write_text(text)
    np.testing.assert_array_equal(rows(table(tmp_path / "data.csv", val_size=1).load()), expected)


def test_cells_without_names_other_encodings_and_commas_in_a_tsv(tmp_path):
    (tmp_path / "data.tsv").write_text("a,,\n1.5,2,3\n2.5,3,5\n3.5,9,8\n", encoding="utf-32")
    data = table(tmp_path / "data.tsv", val_size=1).load()
    assert [one.name for one in data.columns] == ["a", "unnamed: 1", "unnamed: 2"]
    np.testing.assert_array_equal(rows(data), [[1.5, 2, 3], [2.5, 3, 5], [3.5, 9, 8]])


def test_categories_other_strings_and_equal_names_of_parquet(tmp_path):
    a, words = pa.array([1.5, 2.5, 3.5, 4.5]), ["u", "v", "w", "u"]
    for kind in (pa.dictionary(pa.int8(), pa.string()), pa.string_view(), pa.large_string()):
        parquet.write_table(pa.table({"a": a, "c": pa.array(words).cast(kind)}), tmp_path / "a.parquet")
        data = table(tmp_path / "a.parquet", y="c", val_size=1).load()
        np.testing.assert_array_equal(rows(data), np.asarray(a)[:, None])
        assert data.class_names == ("u", "v", "w")
        with pytest.raises(UserError, match=r"holds 1 categorical \(c\)"):
            table(tmp_path / "a.parquet").load()
    parquet.write_table(pa.table([a, a], names=["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="two columns have the name 'a'"):
        table(tmp_path / "a.parquet").load()
    (tmp_path / "parts.parquet").mkdir()
    with pytest.raises(UserError, match="is a folder; give a file, or use dataset="):
        table(tmp_path / "parts.parquet").load()


def test_a_zero_in_front_makes_a_code_of_digits(tmp_path):
    (tmp_path / "a.csv").write_text("zip,size\n01067,1.5\n10115,2.5\n01067,3\n80331,4\n")
    with pytest.raises(UserError, match=r"1 categorical \(zip\).*dataset\.columns=\[size\]"):
        table(tmp_path / "a.csv", val_size=1).load()
    data = table(tmp_path / "a.csv", val_size=1, types={"count": ["zip"]}).load()
    np.testing.assert_array_equal(rows(data)[:, 0], [1067, 10115, 1067, 80331])


def test_other_columns_and_types_can_be_stated(tmp_path):
    FRAME.assign(flag=FRAME["id"] % 2).to_parquet(tmp_path / "a.parquet")
    data = table(tmp_path / "a.parquet", columns=["weight", "flag"], types={"real": ["flag"]}).load()
    np.testing.assert_array_equal(rows(data)[:, 1], FRAME["id"] % 2)
    for keys, message in (
        ({"columns": ["none"]}, "has no column none; it has id, weight"),
        ({"types": {"real": ["none"]}}, r"dataset\.types\.real: .* no column none"),
        ({"types": {"real": ["city"]}}, r"dataset\.types\.real: the column city holds no numbers"),
        ({"y": "none"}, r"dataset\.y=none: .* no such column; use dataset\.y=id\|"),
    ):
        with pytest.raises(UserError, match=message):
            table(tmp_path / "a.parquet", **keys).load()
    config = composed("dataset=table", "dataset.path=x.csv", "dataset.types.real=[age]", "dataset.columns=[age]")
    assert config.dataset.arguments["types"] == {"real": ["age"]}


NAMES = [["Sepal.Length", "height (cm)"], ["a=b,c", "Größe"], ["it's", 'a "b"'], ["null", "~"]]


@pytest.mark.parametrize("names", NAMES)
def test_the_remedy_of_a_mixed_table_can_be_typed_whatever_the_names(tmp_path, names):
    path = tmp_path / "a.parquet"
    FRAME[NUMBERS[:2]].set_axis(names, axis=1).assign(city=FRAME["city"], flag=FRAME["id"] % 2).to_parquet(path)
    with pytest.raises(UserError) as caught:
        table(path).load()
    ways = str(caught.value).partition("come later; use ")[2].partition(" for 0 and 1")[0].split(", or ")
    lines = [composed("dataset=table", f"dataset.path={path}", *shlex.split(way)) for way in ways]
    columns, types = (line.dataset.build() for line in lines)
    np.testing.assert_array_equal(rows(columns.load()), FRAME[NUMBERS[:2]])
    assert isinstance(types, Table) and types.types == {"real": ["flag"]}


def test_new_tables_are_read_by_the_names_of_their_columns(tmp_path, capsys):
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    data = table(tmp_path / "a.csv", y="city").load()
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    Schema.of(data).write(run)
    assert Schema.read(run).entries == tuple(NUMBERS)
    new = FRAME.assign(id=FRAME["id"] + 500).iloc[::-1]
    spreadsheet(tmp_path / "new.csv", new[["city", "children", "weight", "id", "length of leaf", "unit"]])
    found = read_like(run, tmp_path / "new.csv")
    np.testing.assert_allclose(found.array(), new[NUMBERS].to_numpy(float), rtol=1e-12)
    assert list(found.ids) == new["id"].astype(str).tolist()
    new.assign(weight=5000.0).to_parquet(tmp_path / "far.parquet")
    far = read_like(run, tmp_path / "far.parquet")
    far.array()
    assert far.ids.tolist() == new["id"].tolist()
    assert "column weight reaches 5000; in the training data it lies in [" in capsys.readouterr().err
    new.drop(columns="weight").to_parquet(tmp_path / "less.parquet")
    with pytest.raises(UserError, match=r"less\.parquet: has no column weight; it has"):
        read_like(run, tmp_path / "less.parquet")
    new.assign(weight="heavy").to_parquet(tmp_path / "text.parquet")
    with pytest.raises(UserError, match="column weight holds constant values; in the training data it holds numbers"):
        read_like(run, tmp_path / "text.parquet")
