#pragma once
#include <braid/dataset.hpp>
#include <braid/random.hpp>
#include <string>
#include <vector>

#include "data_file.hpp"

// Clothing reviews as columns "title" and "text" (text), "age", "feedback" (how many found the
// review helpful), "recommended" (0 or 1), "rating" (1 to 5 stars) and "department" (text).

// The women's clothing reviews: the rows that have a text and a department.
inline braid::Dataset read_reviews(const std::string& path) {
  const auto file =
      braid::Dataset::csv(data_file(path, "Womens_Clothing_E-Commerce_Reviews.csv"),
                          {.columns = {"Title", "Review Text", "Age", "Positive Feedback Count",
                                       "Recommended IND", "Rating", "Department Name"}});
  const auto& texts = file.text("Review Text");
  const auto& departments = file.text("Department Name");
  const auto rows = file.filter([&](std::int64_t row) {
    const auto i = static_cast<std::size_t>(row);
    return !texts[i].empty() && !departments[i].empty();
  });
  return braid::Dataset()
      .with("title", rows.text("Title"))
      .with("text", rows.text("Review Text"))
      .with("age", rows["Age"])
      .with("feedback", rows["Positive Feedback Count"])
      .with("recommended", rows["Recommended IND"])
      .with("rating", rows["Rating"])
      .with("department", rows.text("Department Name"));
}

// Reviews made of phrases: praise or complaint by the stars, articles by the department, and words
// that say nothing.
inline braid::Dataset make_reviews(std::int64_t rows, std::uint64_t seed) {
  using Words = std::vector<std::string>;
  const Words departments{"Bottoms", "Dresses", "Intimate", "Jackets", "Tops", "Trend"};
  const std::vector<Words> articles{
      {"pants", "jeans", "skirt", "shorts"}, {"dress", "gown", "frock"},
      {"robe", "nightgown", "swimsuit"},     {"coat", "blazer", "parka"},
      {"sweater", "blouse", "shirt", "tee"}, {"cape", "jumpsuit", "poncho"}};
  const Words praise{"I love it",
                     "So soft",
                     "It is a perfect fit",
                     "The fabric is great",
                     "I got many compliments",
                     "Worth every penny"};
  const Words complaint{"It runs too small", "The fabric is itchy",  "I returned it",
                        "Poor quality",      "It is not flattering", "It fell apart"};
  const Words filler{"I ordered this last week", "I am in my usual size",
                     "The color is as pictured", "I wore it to a wedding", "It comes with a belt"};
  braid::Random random(seed);
  const auto pick = [&](const Words& from) { return from[random.below(from.size())]; };
  Words titles, texts, places;
  std::vector<std::int32_t> ages, feedback, recommended, rating;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::size_t department = random.below(departments.size());
    const auto stars = static_cast<std::int32_t>(random.uniform() < 0.55 ? 5 : 1 + random.below(5));
    const bool mistaken = random.uniform() < 0.04;  // a customer who looked in the wrong place
    const Words& named = articles[mistaken ? random.below(articles.size()) : department];
    std::string text = "This " + pick(named) + " came today.";
    const std::size_t phrases = 2 + random.below(6);
    for (std::size_t phrase = 0; phrase < phrases; ++phrase) {
      const bool good = random.uniform() < (static_cast<double>(stars) - 0.8) / 4.4;
      text += " " + (random.uniform() < 0.3 ? pick(filler) : pick(good ? praise : complaint)) + ".";
    }
    titles.push_back(random.uniform() < 0.15 ? "" : pick(stars > 3 ? praise : complaint));
    texts.push_back(text);
    places.push_back(departments[department]);
    ages.push_back(static_cast<std::int32_t>(20 + random.below(60)));
    feedback.push_back(static_cast<std::int32_t>(random.below(10)));
    recommended.push_back(stars > 3 || (stars == 3 && random.uniform() < 0.4) ? 1 : 0);
    rating.push_back(stars);
  }
  const auto column = [&](const std::vector<std::int32_t>& values) {
    return braid::Tensor::from(values, {rows});
  };
  return braid::Dataset()
      .with("title", titles)
      .with("text", texts)
      .with("age", column(ages))
      .with("feedback", column(feedback))
      .with("recommended", column(recommended))
      .with("rating", column(rating))
      .with("department", places);
}
