"""The faults that `mutants.py` plants: each a line or two of the program, changed so that harm is done unnoticed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A change of one file of the package: the text `old`, which stands there once, becomes `new`."""

    name: str
    file: str  # below tfpix2pix/
    old: str
    new: str

    @property
    def text(self) -> str:
        return f"{self.file}\n{self.old}\n{self.new}"

    def _content(self, folder: Path) -> str:
        content = (folder / "tfpix2pix" / self.file).read_text(encoding="utf-8")
        if content.count(self.old) != 1:
            count = content.count(self.old)
            raise SystemExit(f"{self.name}: {self.file} must hold its text once. Found {count} times.")
        return content

    def lines(self, folder: Path) -> range:
        """Returns the numbers of the lines that the fault changes."""
        before, _, _ = self._content(folder).partition(self.old)
        first = before.count("\n") + 1
        return range(first, first + self.old.count("\n") + 1)

    def apply(self, folder: Path) -> None:
        path = folder / "tfpix2pix" / self.file
        path.write_text(self._content(folder).replace(self.old, self.new), encoding="utf-8")


FAULTS = (
    # The objective
    Fault("L1 is signed", "losses/terms.py", "tf.reduce_mean(tf.abs(target - translation))",
          "tf.reduce_mean(target - translation)"),
    Fault("real pairs are judged as generated", "losses/terms.py", "return float(is_real) - (",
          "return float(not is_real) - ("),
    Fault("hinge of the wrong sign", "losses/terms.py", "tf.nn.relu(1.0 - sign * logits)",
          "tf.nn.relu(1.0 + sign * logits)"),
    Fault("the generator's labels are smoothed too", "losses/terms.py", "if is_real and not for_generator else 0.0",
          "if is_real else 0.0"),
    Fault("D is not halved", "losses/objective.py", '"d/total": self.discriminator_factor * (real + fake)',
          '"d/total": real + fake'),
    Fault("weights of terms are ignored", "losses/objective.py", "total += weight * terms[name]",
          "total += terms[name]"),
    Fault("feature matching trains D's features of targets", "losses/terms.py", "tf.stop_gradient(float32(x))",
          "float32(x)"),
    Fault("the variant has the translation's noise", "training/pix2pix.py",
          "self.training_noise(count, self.variant_key)", "self.training_noise(count)"),
    Fault("the variant moves the moving averages", "training/pix2pix.py",
          "with without_moving():\n", "if True:\n"),
    Fault("diversity is punished", "losses/diversity.py", "return -tf.reduce_mean(ratio if clip",
          "return tf.reduce_mean(ratio if clip"),
    # The networks
    Fault("one skip connection is dropped", "models/unet.py", "        if skips:\n",
          "        if skips and level != 2:\n"),
    Fault("skip connections in the wrong order", "models/unet.py", "encoded.pop()", "encoded.pop(0)"),
    Fault("a norm at the bottleneck", "models/unet.py", "level > 0 and (level < levels - 1 or bottleneck_norm)",
          "level > 0"),
    Fault("a norm on the first layer", "models/unet.py", "normalized = level > 0 and (", "normalized = ("),
    Fault("slope 0.3", "models/blocks.py", "LEAKY_SLOPE = 0.2", "LEAKY_SLOPE = 0.3"),
    Fault("initial weights twice as wide", "models/blocks.py", "INIT_STDDEV = 0.02", "INIT_STDDEV = 0.04"),
    Fault("no tanh's range: the output is clipped", "models/unet.py", 'layers.Activation("tanh", dtype="float32"',
          'layers.Activation("hard_tanh", dtype="float32"'),
    Fault("dropped units are not made up for", "models/noise.py", "1.0 / (1.0 - self.rate), 0.0)", "1.0, 0.0)"),
    Fault("every dropout layer reads the same noise", "models/noise.py", "self._offset += math.prod(shape)",
          "self._offset += 0"),
    Fault("moving statistics are of the last image", "models/norms.py",
          "average * self.momentum + tf.reshape(value, [-1]) * (1.0 - self.momentum)", "tf.reshape(value, [-1])"),
    Fault("the variance is not centred", "models/norms.py", "mean(tf.square(centred)) - tf.square(residue)",
          "mean(tf.square(centred))"),
    # The training
    Fault("Adam's beta 1 is 0.9", "training/optimizers.py", "beta_1: float = 0.5", "beta_1: float = 0.9"),
    Fault("the learning rate never falls", "training/optimizers.py",
          "self.learning_rate * SCHEDULES[self.schedule](progress)", "self.learning_rate"),
    Fault("D is never updated", "training/pix2pix.py",
          "                self._update_discriminator(d_gradients)\n            fake = ",
          "            fake = "),
    Fault("the average follows at once", "training/gradients.py", "averaged.assign_add((variable - averaged) * share)",
          "averaged.assign(variable)"),
    Fault("parts of a batch are averaged twice", "training/gradients.py",
          "gradients = [old + gradient for old, gradient", "gradients = [(old + gradient) / 2 for old, gradient"),
    Fault("the step is not counted", "training/pix2pix.py", "self.step.assign_add(1)", "self.step.assign_add(0)"),
    Fault("the average is not saved", "training/checkpoints.py", "networks[AVERAGE] = model.average", "pass"),
    Fault("a checkpoint without D's optimiser", "training/checkpoints.py",
          '        "discriminator_optimizer": model.discriminator_optimizer,\n', ""),
    Fault("a damaged checkpoint is read", "training/checkpoints.py", "if sha256_of(path / name) != hashes[name]:",
          "if False:"),
    # The data
    Fault("input and target are cropped apart", "data/transforms.py",
          "    return _crop(pair, corner, size)\n\n\ndef crop_fraction",
          "    return _crop(pair, corner, size)[0], _crop(pair, corner // 2, size)[1]\n\n\ndef crop_fraction"),
    Fault("one side is mirrored alone", "data/transforms.py",
          "return tuple(tf.where(mirrored, tf.reverse(image, axis=(1,)), image) for image in pair)",
          "return tf.where(mirrored, tf.reverse(pair[0], axis=(1,)), pair[0]), pair[1]"),
    Fault("the wrong half is the input", "data/sources.py", 'config.input_side in ("left", "top")',
          'config.input_side in ("right", "top")'),
    Fault("labels are resized bilinearly", "data/transforms.py", 'True: "nearest"', 'True: "bilinear"'),
    Fault("Lab without linear light", "data/encodings.py", "return tf.where(value > 0.04045, curved, value / 12.92)",
          "return value"),
    Fault("a noise key is used twice", "data/transforms.py", "pair = random_vertical_flip(pair, rng.at(key, 2))",
          "pair = random_vertical_flip(pair, rng.at(key, 1))"),
    Fault("every epoch has the same order", "rng.py", "within, at(key, epoch), tf.cast", "within, at(key, 0), tf.cast"),
    Fault("crops are the same in every epoch", "data/pipeline.py", "rng.at(augmentation, epoch, index)",
          "rng.at(augmentation, index)"),
    Fault("a held-out pair is trained on", "data/splits.py",
          'if split != "test" and (keys[name] in held_out) == (split == "val")]',
          'if split != "test" and ((keys[name] in held_out) == (split == "val") or name == names[0])]'),
    Fault("pixels to ignore are class 0", "data/encodings.py", "on_value=1.0, off_value=-1.0",
          "on_value=1.0, off_value=0.0"),
    # Metrics and intervals
    Fault("PSNR for a range of 1", "metrics/images.py", "math.log10(4.0 / max(", "math.log10(1.0 / max("),
    Fault("an interval too narrow by the root of 2", "metrics/bootstrap.py", "replicates - replicates.mean() + ",
          "(replicates - replicates.mean()) / 2**0.5 + "),
    Fault("seeds of a difference do not add up", "evaluation/comparison/seeds.py",
          "error = math.hypot(self.error, other.error)", "error = max(self.error, other.error)"),
    # Exports and inference
    Fault("the trained weights are exported in place of the average", "runs/load.py",
          'weights or ("average" if averaged else "trained")', 'weights or "trained"'),
    Fault("an export that differs is kept", "export/verify.py", "    if not is_within:\n", "    if False:\n"),
    Fault("int8 without calibration on inputs", "export/quantization.py",
          "    converter.representative_dataset = lambda: iter(samples)\n",
          "    samples = [[0 * array for array in sample] for sample in samples]\n"
          "    converter.representative_dataset = lambda: iter(samples)\n"),
    Fault("a tile's weight", "inference/tiling.py", "weights /= weights.sum(axis=0)",
          "weights /= weights.sum(axis=0) + 0.02"),
    # Safety
    Fault("an archive's hash is not checked", "data/download/archives.py",
          "if expected and (received.sha256, size) !=", "if False and (received.sha256, size) !="),
    Fault("a name leads to another folder", "files.py", 'forbidden = \'<>:"/\\\\|?*\' if os.name == "nt" else "/"',
          'forbidden = ""'),
    Fault("a file is written in place", "files.py", "temporary.replace(path), durable) as temporary:",
          "temporary.replace(path), durable) as temporary:\n        path.touch()"),
)  # fmt: skip
