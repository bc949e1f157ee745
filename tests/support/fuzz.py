"""Bad input of every kind, each from a number: what is typed, and what lies in the files that it names."""

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image

from vae_cli.config.compose import Composer, session
from vae_cli.config.sources import Sources

TINY = (
    "dataset=digits",
    "network.hidden=[4]",
    "model.latent_dim=2",
    "trainer.max_epochs=1",
    "trainer.limit_batches=1",
    "trainer.accelerator=cpu",
    "evaluate.samples=1",
    "logger=none",
)
WORDS = (
    "null", "true", "-1", "0", "1e999", "nan", ".inf", "1e-400", "99999999999999999999", "", "''", "[]", "{}", "[1,2",
    "{a:b}", "[[[[[[[[]]]]]]]]", "${seed}", "${nothing}", "${oc.env:HOME}", "${oc.decode:'{a: 1}'}", "${now:%Y}", "???",
    "a,b", "1,2", "choice(1,2)", "range(1,3)", "glob(*)", "interval(0,1)", "../../x", "/dev/null", "/proc/self/mem",
    "a/b", "é\u202e", "'", '"', "\\", "\n", "=", "==", "$(id)", "`id`", "%s", "x" * 300, "[" * 200, "{a:" * 90, "1_0",
    "0x10", "[1,[2]]", "{_target_: os.system}", "[{_target_: vae_cli.runs.results.subprocess.run}]", "\x7f",
    "!!python/none",
)  # fmt: skip
HYDRAS = (
    "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.job.name", "hydra.output_subdir", "hydra.verbose",
    "hydra.mode", "hydra.searchpath", "hydra/launcher", "hydra/sweeper", "hydra.job.chdir", "hydra.callbacks", "hydra",
)  # fmt: skip
FLAGS = (
    "-m",
    "--cfg",
    "--cfg=all",
    "--info",
    "--resolve",
    "-p",
    "--config-name=x",
    "--config-dir=x",
    "--multirun",
    "-c",
)


def keys() -> list[str]:
    """Every dotted key of a configuration, its groups, and some of hydra's."""
    with session():
        composer = Composer("train", Sources.find())
        config = composer.compose(list(TINY))
    found: list[str] = []

    def walk(node: object, prefix: str) -> None:
        for name, value in dict(node).items():  # pyright: ignore
            found.append(f"{prefix}{name}")
            if hasattr(value, "items"):
                walk(value, f"{prefix}{name}.")

    walk({name: config[name] for name in config if name != "hydra"}, "")
    return found


def overrides(random: Random, folder: Path) -> list[str]:
    """vae-train with one to three overrides that are mostly wrong."""
    names = [*keys(), *HYDRAS, "", "..", "a.b.c", "objective.", ".seed", "seed.x", "model@x", "+", "~"]
    lines = []
    for _ in range(random.randint(1, 3)):
        if random.random() < 0.1:
            lines.append(random.choice(FLAGS))
            continue
        sign = random.choice(["", "", "", "+", "++", "~"])
        lines.append(
            f"{sign}{random.choice(names)}{random.choice(['=', '=', '=', '=', '', ':'])}{random.choice(WORDS)}"
        )
    return ["vae-train", *TINY, *lines]


def yaml_files(random: Random, folder: Path) -> list[str]:
    """vae-train with an option of the user's own whose file is garbage."""
    group = random.choice(["model", "dataset", "objective", "experiment", "trainer", "sweep", "prior", "network"])
    source = Path(__file__).parents[2] / "conf" / group
    text = random.choice(sorted(source.glob("*.yaml"))).read_text(encoding="utf-8")
    content = mutated(random, text.encode())
    if random.random() < 0.3:
        name = random.choice(["_target_", "defaults", "latent_dim", "beta", "hydra", "<<", "? a"])
        content = f"# mine\n{name}: {random.choice(WORDS)}\n".encode()
    if random.random() < 0.1:
        content = random.choice(
            [b"a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", b"[" * 5000, b"- " * 3000, b"\xff\xfe", b"%YAML 9"]
        )
    file = folder / "vae_conf" / group / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return ["vae-train", *TINY, f"{group}=mine"]


def checkpoints(random: Random, folder: Path) -> list[str]:
    """A command on a run one of whose files is damaged."""
    run = folder / "run"
    shutil.copytree(folder.parent / "run", run)
    name = random.choice(["best", "last", "best", "last", "config", "results", "metrics"])
    files = {"config": "config.yaml", "results": "results.json", "metrics": "metrics.csv"}
    file = run / files.get(name, f"checkpoints/{name}.ckpt")
    foreign = random.random() < 0.2
    file.write_bytes(
        other_pickle(random) if foreign else mutated(random, file.read_bytes() if file.exists() else b"a,b")
    )
    commands = {
        "best": ["vae-eval", "run=run", "evaluate.samples=1"],
        "last": ["vae-train", "resume=run", "trainer.max_epochs=1"],
        "config": ["vae-sample", "run=run", "n=2"],
        "results": ["vae-report", "run"],
        "metrics": ["vae-report", "run"],
    }
    return commands[name]


def data_files(random: Random, folder: Path) -> list[str]:
    """vae-train on data of one's own that are garbage."""
    kind = random.choice(["npz", "idx", "image"])
    if kind == "npz":
        (folder / "data.npz").write_bytes(archive(random))
        return ["vae-train", "dataset=array", *TINY[1:], "dataset.path=data.npz"]
    if kind == "idx":
        (folder / "idx").mkdir()
        header = b"\0\0\x08\3" + (10).to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
        content = mutated(random, header + bytes(7840))
        (folder / "idx" / "train-images-idx3-ubyte").write_bytes(content)
        return ["vae-train", "dataset=mnist", *TINY[1:], "dataset.root=idx"]
    (folder / "images").mkdir()
    for number in range(4):
        picture = io.BytesIO()
        mode = random.choice(["L", "RGB", "P", "CMYK", "1", "RGBA", "I;16"])
        form = (
            "TIFF" if mode in ("CMYK", "I;16") else random.choice(["PNG", "GIF", "TIFF"] if mode != "RGBA" else ["PNG"])
        )
        Image.new(mode, (random.randint(1, 40), random.randint(1, 40))).save(picture, form)
        ending = random.choice(["png", "jpg", "gif", "tiff", "webp", "bmp"])
        content = picture.getvalue() if number else mutated(random, picture.getvalue())
        (folder / "images" / f"{number}.{ending}").write_bytes(content)
    return [
        "vae-train", "dataset=image_folder", *TINY[1:], "dataset.path=images", "dataset.size=8", "dataset.workers=0",
        "dataset.val_size=1",
    ]  # fmt: skip


def archive(random: Random) -> bytes:
    """An .npz file, damaged, or whole and with arrays that are no data."""
    x = np.random.default_rng(random.randrange(100)).random((200, 4))
    strange = random.choice(
        [
            x,
            x[:, 0],
            x[:0],
            x[0, 0],
            x.astype(str),
            x * np.nan,
            x * 1e300,
            x.astype(complex),
            x > 0.5,
            x[None, None, None],
        ]
    )
    stream = io.BytesIO()
    name = random.choice(["x", "x", "x", "x_train", "y", "../x", "x.npy", ""])
    if random.random() < 0.5:
        np.savez(stream, **{"y": random.choice([x[:, 0], x[:, 0].astype(int) - 5, x]), name or "x": strange})
        return stream.getvalue()
    np.savez_compressed(stream, x=x, y=np.zeros(200, int))
    return mutated(random, stream.getvalue())


def other_pickle(random: Random) -> bytes:
    """What torch can write, or pickle, and no run of ours does."""
    content = random.choice(
        [{}, [], None, 3, {"state_dict": 3, "data": 4}, {"state_dict": {}, "data": {}}, Path("x"), print]
    )
    stream = io.BytesIO()
    if random.random() < 0.5:
        torch.save(content, stream)
    elif random.random() < 0.5:
        pickle.dump(content, stream)
    else:
        with zipfile.ZipFile(stream, "w") as file:
            file.writestr("archive/data.pkl", pickle.dumps(content))
    return stream.getvalue()


def mutated(random: Random, content: bytes) -> bytes:
    """Cut short, emptied, with bytes changed, left out, doubled or put in."""
    way = random.randrange(5)
    position = random.randrange(len(content) + 1)
    if way == 0:
        return content[:position]
    if way == 1:
        changed = bytearray(content)
        for _ in range(random.choice([1, 1, 3, 30])):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        return bytes(changed)
    end = min(len(content), position + random.randint(1, 64))
    inserted = {2: b"", 3: content[position:end] * 2, 4: random.randbytes(end - position)}[way]
    return content[:position] + inserted + content[end:]


KINDS: tuple[Callable[[Random, Path], list[str]], ...] = (overrides, yaml_files, checkpoints, data_files)
