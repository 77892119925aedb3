"""What the functions do, whatever server calls them."""

PIECES = 25
PIECE = b'x' * 4096


def mandelbrot():
    """How many steps all points of a small picture take together."""
    steps = 0
    for row in range(64):
        ci = row / 32 - 1.0
        for column in range(80):
            cr = column / 32 - 2.0
            zr = zi = 0.0
            for _ in range(50):
                rr, ii = zr * zr, zi * zi
                if rr + ii > 4.0:
                    break
                zi = 2.0 * zr * zi + ci
                zr = rr - ii + cr
                steps += 1
    return str(steps)


def spin():
    while True:
        pass
