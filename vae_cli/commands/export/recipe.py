"""The lines of Python in a model card: they run the parts of an export without this package."""

from __future__ import annotations

from dataclasses import dataclass

from vae_cli.commands.run import Run

VALUES = {
    "binary": "each value 0 or 1",
    "levels": "each value k/255, k = 0, ..., 255",
    "unit": "each value in [0, 1]",
    "real": "in the units of the training data",
}
"""The values of x by the domain of the data."""


@dataclass(frozen=True)
class Dialect:
    """Templates of the lines that load a file of a format, call it and give it arrays."""

    imports: str
    load: str
    call: str
    argument: str
    array: str
    noise: str
    log: str


DIALECTS = {
    "onnx": Dialect(
        imports="import numpy as np\nimport onnxruntime",
        load='onnxruntime.InferenceSession(f"{name}.onnx")',
        call='parts["%s"].run(None, {%s})',
        argument='"%s": %s',
        array="%s",
        noise="np.random.standard_normal(mean.shape).astype(np.float32)",
        log="np.log(scale)",
    ),
    "torch": Dialect(
        imports="import numpy as np\nimport torch",
        load='torch.export.load(f"{name}.pt2").module()',
        call='parts["%s"](%s)',
        argument="%.0s%s",
        array="torch.from_numpy(%s)",
        noise="torch.randn_like(mean)",
        log="scale.log()",
    ),
}
WEIGHTS = """\
import json
from safetensors.numpy import load_file

weights = load_file("model.safetensors")  # arrays by name
config = json.load(open("config.json"))  # the sizes and the kinds of the parts"""


def recipe(run: Run, outputs: dict[str, tuple[str, ...]], form: str) -> str:
    """At most ten statements that use all parts; `outputs` has the names of the results of each part."""
    if form == "safetensors":
        return WEIGHTS
    words, names = DIALECTS[form], list(outputs)
    shape = ", ".join(map(str, run.facts.event_shape))

    def call(name: str, *inputs: str) -> str:
        given = ", ".join(words.argument % (one, one) for one in inputs)
        results = ", ".join(outputs[name]) if name != "decoder" else "(x_mean,)"
        return f"{results} = {words.call % (name, given)}"

    lines = [words.imports, "", f"parts = {{name: {words.load} for name in {names}}}"]
    if "encoder" in names:
        kind = "float64" if run.facts.standardisation else "float32"
        read = words.array % 'np.load("x.npy")'
        lines += [f"# x: {kind} (N, {shape}), {VALUES[run.facts.domain]}", f"x = {read}", call("encoder", "x")]
        lines.append(f"z = mean + scale * {words.noise}" if _draws_a_gaussian(run) else "z = mean")
    else:
        draw = f"np.random.standard_normal((16, {run.model.latent_dim})).astype(np.float32)"
        lines.append(f"z = {words.array % draw}")
    lines.append(call("decoder", "z"))
    if "scorer" in names and (run.model.is_continuous or not run.model.draws_vary):
        lines.append(call("scorer", "x", "z"))
        density = f"(-0.5 * ((z - mean) / scale) ** 2 - {words.log} - 0.5 * np.log(2 * np.pi)).sum(-1)"
        lines.append(f"log_q = {density if run.model.draws_vary else '0'}")
        lines.append("log_w = log_px + log_pz - log_q  # its mean over draws of z: the ELBO of each x, nats")
    return "\n".join(lines)


def _draws_a_gaussian(run: Run) -> bool:
    return run.model.is_continuous and run.model.has_density
