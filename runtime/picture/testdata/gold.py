#!/usr/bin/python3
"""Writes gold.npz and the pictures beside it: what OpenCV and Pillow make of them.

Needs numpy, OpenCV (4.6 was used) and Pillow (9.4): on Debian python3-opencv and python3-pil.
Run it in this folder. The tests read its results, and fail where our pixels differ by more than they say.
"""
import io
import cv2
import numpy as np
from PIL import Image, ImageOps

rng = np.random.RandomState(7)
gold = {}


def scene(w, h):
    """Smooth colours with edges and a little noise: what JPEG is made for."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    a = np.stack([127 + 120 * np.sin(x / 5 + c) * np.cos(y / 7 - c) for c in range(3)], -1)
    a[h // 4:h // 2, w // 3:w // 2] = (250, 20, 30)
    return np.clip(a + rng.uniform(-8, 8, a.shape), 0, 255).astype(np.uint8)


# Resizing. Pictures are RGB; resizing works channel by channel.
source = rng.randint(0, 256, (23, 37, 3)).astype(np.uint8)
gold["source"] = source
cv = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA}
pil = {"bilinear-antialias": Image.BILINEAR, "bicubic-antialias": Image.BICUBIC}
for w, h in [(64, 40), (20, 11), (37, 50), (13, 23), (74, 46), (5, 60)]:
    for name, how in cv.items():
        gold[f"{name} {w}x{h}"] = cv2.resize(source, (w, h), interpolation=how)
    for name, how in pil.items():
        gold[f"{name} {w}x{h}"] = np.asarray(Image.fromarray(source).resize((w, h), how))
even = rng.randint(0, 256, (12, 18, 3)).astype(np.uint8)
gold["even"] = even
gold["half"] = cv2.resize(even, (9, 6), interpolation=cv2.INTER_LINEAR)

# Decoding.
files = {}
for name, w, h, sub in [("444", 33, 21, 0), ("422", 33, 21, 1), ("420", 33, 21, 2), ("420even", 32, 16, 2), ("420thin", 3, 5, 2)]:
    b = io.BytesIO()
    Image.fromarray(scene(w, h)).save(b, "JPEG", quality=85, subsampling=sub)
    files[f"{name}.jpg"] = b.getvalue()
b = io.BytesIO()
Image.fromarray(scene(33, 21)).save(b, "JPEG", quality=85, progressive=True)
files["progressive.jpg"] = b.getvalue()
b = io.BytesIO()
Image.fromarray(scene(33, 21)).convert("L").save(b, "JPEG", quality=85)
files["grey.jpg"] = b.getvalue()
b = io.BytesIO()
Image.fromarray(scene(33, 21)).convert("CMYK").save(b, "JPEG", quality=95)
files["cmyk.jpg"] = b.getvalue()
alpha = np.dstack([scene(9, 7), rng.randint(0, 256, (7, 9)).astype(np.uint8)])
for name, img in {"rgb.png": Image.fromarray(scene(9, 7)), "alpha.png": Image.fromarray(alpha), "palette.png": Image.fromarray(scene(9, 7)).quantize(16),
                  "grey.png": Image.fromarray(scene(9, 7)).convert("L"), "rgb.bmp": Image.fromarray(scene(9, 7))}.items():
    b = io.BytesIO()
    img.save(b, name[-3:].upper())
    files[name] = b.getvalue()
for name, lossless in [("lossy.webp", False), ("lossless.webp", True)]:
    b = io.BytesIO()
    Image.fromarray(scene(33, 21)).save(b, "WEBP", quality=90, lossless=lossless)
    files[name] = b.getvalue()
# A camera's picture, stored in the eight ways that EXIF knows.
for n in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = n
    for kind, opt in {"JPEG": dict(quality=90, subsampling=0), "PNG": {}, "WEBP": dict(lossless=True)}.items():
        if kind != "JPEG" and n not in (6, 7):
            continue
        b = io.BytesIO()
        Image.fromarray(scene(12, 8)).save(b, kind, exif=exif.tobytes(), **opt)
        files[f"exif{n}.{dict(JPEG='jpg', PNG='png', WEBP='webp')[kind]}"] = b.getvalue()
for name, data in files.items():
    with open(name, "wb") as f:
        f.write(data)
    img = Image.open(io.BytesIO(data))
    gold[name] = np.asarray(ImageOps.exif_transpose(img).convert("RGB"))
np.savez_compressed("gold.npz", **gold)
