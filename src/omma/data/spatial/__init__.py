"""Truths that lie somewhere: where a picture lies in its frame, truths moved along when it is varied, truths by place."""
