"""The toy exercise and the toy prediction of notebook 00."""

from gnet_utils.exercises import Prediction, number

EXERCISES = {
    "pixels": number(
        784,
        mistakes={
            56: "that is 28 + 28: the rows times the columns are asked for.",
            2352: "that is 28 x 28 x 3: these pictures are gray, so each pixel is one number.",
            28: "that is one row; the picture has 28 of them.",
        },
        hints=[
            "A picture is a table of numbers with 28 rows.",
            "Each row holds 28 numbers, and gray pictures have one channel.",
            "A picture with 5 rows of 7 numbers holds 5 * 7 = 35.",
        ],
        right="28 rows of 28 pixels, one gray value each.",
    )
}

PREDICTIONS = {
    "budget": Prediction(
        options=("AlexNet (2012)", "VGG-19 (2014)", "GoogLeNet (2014)"),
        right=2,
        because="GoogLeNet stores 7 million parameters, AlexNet 61 and VGG-19 144 million.",
        held=(8, 9, 10),
    )
}
