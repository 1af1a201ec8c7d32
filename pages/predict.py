"""Predict: ask a checkpoint about one picture, and see why it answers as it does."""

import streamlit as st

from core import words
from pages.ui import answers, checkpoints, details, frame, inputs, points, tour
from pages.ui.predict import around, commit, lesion, many, papers, reasons, whatif

reader = frame.page("Predict")

with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
    source = inputs.choose_source()
    tour.start_button(frame.PAGES, reader, quiet=True)
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    facts = inputs.ask_facts()

if source == inputs.SEVERAL:
    chosen = checkpoints.choose()
    checkpoint = None if chosen is None else checkpoints.load(chosen)
    if checkpoint is not None:
        many.draw(checkpoint, facts, reader)
    st.caption(words.SEE_A_DOCTOR)
    st.stop()

asking, answering = st.columns([2, 3], gap="large")
with asking:
    asked = inputs.choose_picture(source)

with answering:
    chosen = checkpoints.choose()
    if chosen is None:
        st.stop()
    if asked is None:
        st.info("Bring a picture to get an answer.", icon=":material/add_photo_alternate:")
        st.stop()
    checkpoints.say_place(chosen, asked)
    checkpoint = checkpoints.load(chosen)
    if checkpoint is None:
        st.stop()
    details.draw_lacks(checkpoint)
    if not commit.ready(asked, reader):
        st.stop()
    prediction = points.at_address(checkpoints.ask(checkpoint, asked, facts))
    if not prediction.unknown.known:
        answers.draw_refusal(prediction, reader)
    else:
        commit.draw_tally(asked, prediction)
        answers.draw_answer(prediction, reader)

with asking:
    around.draw_picture_notes(checkpoint, prediction, asked)
    if prediction.unknown.known:
        lesion.warn(asked, reader)

if prediction.unknown.known:
    looked = checkpoints.look(checkpoint, asked)
    question = whatif.Question(checkpoint, asked, looked, prediction, reader)
    reasons.draw(question, answers.draw_reasons(prediction, reader))
    whatif.draw(question)
    around.draw_similar(checkpoint, asked, looked.features)
papers.draw(checkpoint, prediction, asked, reader)
details.draw(checkpoint, prediction, reader)
st.caption(words.SEE_A_DOCTOR)
