"""Pictures that stay at their own size: what is given of them, what is learned from, what an answer keeps of its original."""
