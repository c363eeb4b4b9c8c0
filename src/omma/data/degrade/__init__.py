"""What makes good pictures bad, so that a network learns the way back: noise, blur, fewer pixels, JPEG, bad light."""
