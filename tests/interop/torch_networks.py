"""The networks of pytorch-CycleGAN-and-pix2pix in PyTorch, and the generators of pix2pixHD, laid out so that their
tensors have the same names."""

import torch
from torch import nn

TRACKED = {"batch": True, "instance": False, "old_instance": True}


def norm_of(kind):
    if kind == "none":
        return lambda channels: nn.Identity()
    if kind == "batch":
        return nn.BatchNorm2d
    return lambda channels: nn.InstanceNorm2d(channels, affine=False, track_running_stats=TRACKED[kind])


class Skip(nn.Module):
    """One level of the U-Net around what is inside it."""

    def __init__(self, *modules, whole=False):
        super().__init__()
        self.model, self.whole = nn.Sequential(*modules), whole

    def forward(self, x):
        return self.model(x) if self.whole else torch.cat([x, self.model(x)], 1)


class Whole(nn.Module):
    def __init__(self, model, name="model"):
        super().__init__()
        self.name = name
        setattr(self, name, model)

    def forward(self, x):
        return getattr(self, self.name)(x)


def unet(levels, filters, norm="batch", dropout=True, channels=(3, 3)):
    bias, make = "instance" in norm, norm_of(norm)
    widths = [filters * min(2**level, 8) for level in range(levels)]

    def down(before, after):
        return nn.Conv2d(before, after, 4, 2, 1, bias=bias)

    def up(before, after, bias=bias):
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)

    outer, inner = widths[-2:]
    block = Skip(nn.LeakyReLU(0.2, True), down(outer, inner), nn.ReLU(True), up(inner, outer), make(outer))
    for level in range(levels - 2, 0, -1):
        outer, inner = widths[level - 1], widths[level]
        dropped = [nn.Dropout(0.5)] if dropout and outer == inner == 8 * filters and level >= 4 else []
        block = Skip(
            nn.LeakyReLU(0.2, True), down(outer, inner), make(inner), block,
            nn.ReLU(True), up(2 * inner, outer), make(outer), *dropped,
        )  # fmt: skip
    last = up(2 * filters, channels[1], bias=True)
    return Whole(Skip(down(channels[0], filters), block, nn.ReLU(True), last, nn.Tanh(), whole=True))


class Residual(nn.Module):
    def __init__(self, *modules):
        super().__init__()
        self.conv_block = nn.Sequential(*modules)

    def forward(self, x):
        return x + self.conv_block(x)


def resnet(blocks, filters, norm="instance", dropout=False, channels=(3, 3)):
    bias, make = "instance" in norm, norm_of(norm)

    def halves(before, after):
        return [nn.Conv2d(before, after, 3, 2, 1, bias=bias), make(after), nn.ReLU(True)]

    def doubles(before, after):
        return [nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=bias), make(after), nn.ReLU(True)]

    def same(width):
        return [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=bias), make(width)]

    dropped, width = ([nn.Dropout(0.5)] if dropout else []), 4 * filters
    middle = [Residual(*same(width), nn.ReLU(True), *dropped, *same(width)) for _ in range(blocks)]
    return Whole(nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(channels[0], filters, 7, bias=bias), make(filters), nn.ReLU(True),
        *halves(filters, 2 * filters), *halves(2 * filters, width), *middle,
        *doubles(width, 2 * filters), *doubles(2 * filters, filters),
        nn.ReflectionPad2d(3), nn.Conv2d(filters, channels[1], 7), nn.Tanh(),
    ))  # fmt: skip


class HD:
    """Lists of modules of pix2pixHD's generators."""

    def __init__(self, norm):
        self.norm_of = norm_of(norm)

    def front(self, channels, filters, halvings):
        modules = [nn.ReflectionPad2d(3), nn.Conv2d(channels, filters, 7), self.norm_of(filters), nn.ReLU()]
        for width in (filters * 2**n for n in range(halvings)):
            modules += [nn.Conv2d(width, 2 * width, 3, 2, 1), self.norm_of(2 * width), nn.ReLU()]
        return modules

    def block(self, width):
        half = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), self.norm_of(width)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), self.norm_of(width)]
        return Residual(*half, nn.ReLU(), *other)

    def behind(self, filters, halvings, blocks):
        modules = [self.block(filters * 2**halvings) for _ in range(blocks)]
        for width in (filters * 2**n for n in reversed(range(halvings))):
            up = nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1)
            modules += [up, self.norm_of(width), nn.ReLU()]
        return modules

    def last(self, filters, channels):
        return [nn.ReflectionPad2d(3), nn.Conv2d(filters, channels, 7), nn.Tanh()]


def hd_global(filters, norm="instance", blocks=9, halvings=4, channels=(3, 3)):
    make = HD(norm)
    front, behind = make.front(channels[0], filters, halvings), make.behind(filters, halvings, blocks)
    return Whole(nn.Sequential(*front, *behind, *make.last(filters, channels[1])))


class HDLocal(nn.Module):
    def __init__(self, filters, norm, enhancers, blocks, enhancer_blocks, channels, halvings):
        super().__init__()
        make, inner = HD(norm), filters * 2**enhancers
        self.model = nn.Sequential(*make.front(channels[0], inner, halvings), *make.behind(inner, halvings, blocks))
        self.enhancers = []
        for number in range(1, enhancers + 1):
            width = filters * 2 ** (enhancers - number)
            last = make.last(width, channels[1]) if number == enhancers else []
            self.enhancers.append((f"model{number}_1", f"model{number}_2"))
            setattr(self, f"model{number}_1", nn.Sequential(*make.front(channels[0], width, 1)))
            setattr(self, f"model{number}_2", nn.Sequential(*make.behind(width, 1, enhancer_blocks), *last))

    def forward(self, x):
        return self.at(x, len(self.enhancers))

    def at(self, x, number):
        """The result of the networks inside enhancer `number` + 1, which see `x`."""
        if number == 0:
            return self.model(x)
        half = nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        front, behind = (getattr(self, name) for name in self.enhancers[number - 1])
        return behind(front(x) + self.at(half, number - 1))


def hd_local(filters, norm="instance", enhancers=1, blocks=9, enhancer_blocks=3, channels=(3, 3), halvings=4):
    return HDLocal(filters, norm, enhancers, blocks, enhancer_blocks, channels, halvings)


def patchgan(layers, filters, norm="batch", channels=6):
    bias, make = "instance" in norm, norm_of(norm)
    modules, before = [nn.Conv2d(channels, filters, 4, 2, 1), nn.LeakyReLU(0.2, True)], filters
    for number in range(1, layers + 1):
        after = filters * min(2**number, 8)
        stride = 2 if number < layers else 1
        modules += [nn.Conv2d(before, after, 4, stride, 1, bias=bias), make(after), nn.LeakyReLU(0.2, True)]
        before = after
    return Whole(nn.Sequential(*modules, nn.Conv2d(before, 1, 4, 1, 1)))


def pixelgan(filters, norm="batch", channels=6):
    bias, make = "instance" in norm, norm_of(norm)
    return Whole(nn.Sequential(
        nn.Conv2d(channels, filters, 1), nn.LeakyReLU(0.2, True),
        nn.Conv2d(filters, 2 * filters, 1, bias=bias), make(2 * filters), nn.LeakyReLU(0.2, True),
        nn.Conv2d(2 * filters, 1, 1, bias=bias),
    ), name="net")  # fmt: skip


def randomized(network, seed=0):
    """`network` with weights as after some training: nothing zero, nothing one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                fan = module.weight[0].numel() / (4 if isinstance(module, nn.ConvTranspose2d) else 1)
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * fan**-0.5)
                if module.bias is not None:
                    module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.1)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.copy_(1 + 0.2 * torch.randn(module.weight.shape, generator=generator))
                module.bias.copy_(0.2 * torch.randn(module.bias.shape, generator=generator))
                module.running_mean.copy_(0.1 * torch.randn(module.bias.shape, generator=generator))
                module.running_var.copy_(1 + torch.rand(module.bias.shape, generator=generator))
    return network


def in_test_mode(network):
    """As test.py leaves it: norms by the image's own statistics; dropout off, to be compared."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    return network


def run(network, *images):
    """(N, H, W, C) arrays, joined by channel, through the network."""
    import numpy as np

    x = torch.from_numpy(np.concatenate(images, axis=-1).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        return network(x).numpy().transpose(0, 2, 3, 1)
