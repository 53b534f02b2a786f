#!/usr/bin/python3
"""Writes gold.npz: what the programs that models come from lay on their inputs, worked out with their libraries.

The steps are those of ultralytics' LetterBox, YOLOX's preproc, torchvision's Resize and CenterCrop on Pillow pictures, and PaddleDetection's
Resize. Needs numpy, OpenCV and Pillow. Run it in this folder.
"""
import cv2
import numpy as np
from PIL import Image

rng = np.random.RandomState(3)
gold = {}


def ultralytics(img, h, w):
    ih, iw = img.shape[:2]
    r = min(h / ih, w / iw)
    size = (int(round(iw * r)), int(round(ih * r)))
    dw, dh = (w - size[0]) / 2, (h - size[1]) / 2
    if size != (iw, ih):
        img = cv2.resize(img, size, interpolation=cv2.INTER_LINEAR)
    top, bottom = int(round(dh - 0.1)), int(round(dh + 0.1))
    left, right = int(round(dw - 0.1)), int(round(dw + 0.1))
    return cv2.copyMakeBorder(img, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))


def yolox(img, h, w):
    ih, iw = img.shape[:2]
    out = np.full((h, w, 3), 114, np.uint8)
    r = min(h / ih, w / iw)
    small = cv2.resize(img, (int(iw * r), int(ih * r)), interpolation=cv2.INTER_LINEAR)
    out[: int(ih * r), : int(iw * r)] = small
    return out


def classifier(img, h, w, shorter=40):
    ih, iw = img.shape[:2]
    size = (shorter, int(shorter * ih / iw)) if iw < ih else (int(shorter * iw / ih), shorter)
    img = Image.fromarray(img).resize(size, Image.BILINEAR)
    top, left = int(round((size[1] - h) / 2.0)), int(round((size[0] - w) / 2.0))
    return np.asarray(img.crop((left, top, left + w, top + h)))


def paddle(img, h, w):
    ih, iw = img.shape[:2]
    return cv2.resize(img, None, None, fx=w / iw, fy=h / ih, interpolation=2)


for ih, iw in [(30, 50), (50, 30), (47, 33), (80, 17), (32, 32), (65, 66)]:
    img = rng.randint(0, 256, (ih, iw, 3)).astype(np.uint8)
    gold[f"source {iw}x{ih}"] = img
    for h, w in [(32, 32), (24, 32), (64, 48)]:
        for f in (ultralytics, yolox, paddle):
            out = f(img, h, w)
            assert out.shape == (h, w, 3), (f, out.shape)
            gold[f"{f.__name__} {iw}x{ih} {w}x{h}"] = out
    gold[f"classifier {iw}x{ih} 32x32"] = classifier(img, 32, 32)
np.savez_compressed("gold.npz", **gold)
