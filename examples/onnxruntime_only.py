"""An exported model without omma: onnxruntime, NumPy and Pillow are enough.

    pip install onnxruntime pillow
    python onnxruntime_only.py model.onnx picture.jpg …

The file takes pictures as they are: resize, normalisation, temperature and thresholds are inside.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def load(path):
    """A picture file as the model reads it: (1, H, W, 3) uint8, upright, transparency over white."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("RGB"))[None]


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    classes, point = json.loads(about["classes"]), json.loads(about["operating_point"])
    names = [output.name for output in session.get_outputs()]
    for path in paths:
        answer = dict(zip(names, session.run(names, {"picture": load(path)}), strict=True))
        if "label" in answer:  # one class
            sure = float(answer["probability"][0])
            row = {"label": classes[int(answer["label"][0])], "probability": sure, "unsure": sure < point.get("threshold", 0)}
        elif "labels" in answer:  # any number of classes
            shares = zip(classes, answer["labels"][0], answer["probabilities"][0], strict=True)
            row = {"labels": {name: float(share) for name, present, share in shares if present}}
        elif "boxes" in answer:  # objects; with "masks", (1, K, H, W), the outline of each
            row = {"boxes": []}
            level = np.broadcast_to(point.get("threshold", 0), len(classes))  # of each class, or one for all
            for at, share in enumerate(answer["probabilities"][0]):
                if share == 0 or share < level[answer["classes"][0][at]] or ("masks" in answer and not answer["masks"][0][at].any()):
                    continue
                corners = [round(float(value), 1) for value in answer["boxes"][0][at]]
                row["boxes"].append({"label": classes[int(answer["classes"][0][at])], "probability": float(share), "box": corners})
        elif "mask" in answer:  # a class for every pixel; 255 where the model does not look
            row = {"pixels": {name: int((answer["mask"][0] == place).sum()) for place, name in enumerate(classes)}}
        else:  # numbers
            row = {"numbers": dict(zip(classes, map(float, answer["numbers"][0]), strict=True))}
        print(json.dumps({"path": path} | row, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
