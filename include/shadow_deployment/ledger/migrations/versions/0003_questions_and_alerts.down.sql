-- The way back: everything that 0003_questions_and_alerts made, its history included.

DROP TABLE shadow.delivery;

DROP TABLE shadow.alert;

DROP TABLE shadow.answer;

DROP TABLE shadow.question;
