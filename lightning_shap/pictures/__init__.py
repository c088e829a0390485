"""What a picture is made of: captions, lettering and pixels."""
