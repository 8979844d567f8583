DROP TABLE shadow.delivery, shadow.alert;
