"""How answers that are pictures come about: a picture of any size part by part; pictures from seeds."""
